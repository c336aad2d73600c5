import {errorCatalogue} from '../../schemas/errors.ts';
import type {ReloadedSchedules, ScheduleHistory} from '../../schemas/exec-operations.ts';
import type {ExecEngine} from './management.ts';
import {callAsOurselves} from './own-call.ts';
import {type HistoryQuery, readScheduleHistory} from './schedule-history.ts';
import {type ScheduledScript, scanSchedules} from './schedule-scan.ts';
import {createScriptSchedules, type FireOutcome, type ScriptSchedules} from './schedules.ts';

/** The schedules of scripts, bound to the engine that runs them. */
export interface Scheduling extends Omit<ScriptSchedules, 'reload'> {
  reload(options: {dryRun: boolean}): Promise<ReloadedSchedules>;
  history(query: HistoryQuery): Promise<ScheduleHistory>;
}

type Engine = Pick<ExecEngine, 'store' | 'calls' | 'logs' | 'isScheduleOpen' | 'clock'>;

const maxErrorCharacters = 1000;
const lateWords = 'It did not answer in time.';
const firstStatusBeyondOk = 300;

export function openScheduling(engine: Engine): Scheduling {
  const {store, logs, isScheduleOpen, clock} = engine;
  const {reload, ...schedules} = createScriptSchedules({
    clock,
    isOpen: isScheduleOpen,
    fire: (script) => fire(engine, script),
    record: logs.noteFire,
  });
  return {
    ...schedules,
    reload: async (options) => reload(await scanSchedules(store), options),
    async history(query) {
      await logs.fires.flush();
      return readScheduleHistory(logs.fires.path, query);
    },
  };
}

/** Its answer is thrown away, but for what an error says. */
async function fire({calls, clock}: Engine, script: ScheduledScript): Promise<FireOutcome> {
  const path = `/${script.scriptPath
    .replace(/\.[jt]s$/, '')
    .split('/')
    .map(encodeURIComponent)
    .join('/')}`;
  const ended = new AbortController();
  const late = new AbortController();
  if (script.timeoutMs !== null) {
    clock.sleep(script.timeoutMs, {signal: ended.signal}).then(
      () => late.abort(),
      () => {
        // It answered in time.
      },
    );
  }
  try {
    const {status, executionId, text} = await callAsOurselves(calls, path, {signal: late.signal});
    const isOk = status < firstStatusBeyondOk;
    if (status === errorCatalogue.SCRIPT_TIMEOUT.status)
      return {status: 'timeout', httpStatus: status, executionId, error: lateWords};
    return {
      status: isOk ? 'success' : 'error',
      httpStatus: status,
      executionId,
      error: isOk ? null : text.slice(0, maxErrorCharacters),
    };
  } catch (error) {
    const isLate = late.signal.aborted;
    return {
      status: isLate ? 'timeout' : 'error',
      httpStatus: null,
      executionId: null,
      error: isLate ? lateWords : String(error instanceof Error ? error.message : error),
    };
  } finally {
    ended.abort();
  }
}
