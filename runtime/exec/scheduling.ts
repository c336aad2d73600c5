import {AppError, type ErrorCode, errorCatalogue} from '../../schemas/errors.ts';
import type {ReloadedSchedules, ScheduleHistory} from '../../schemas/exec-operations.ts';
import type {ExecEngine} from './management.ts';
import {type HistoryQuery, readScheduleHistory} from './schedule-history.ts';
import {type ScheduledScript, scanSchedules} from './schedule-scan.ts';
import {createScriptSchedules, type FireOutcome, type ScriptSchedules} from './schedules.ts';

/** The schedules of scripts, bound to the engine that runs them. */
export interface Scheduling extends Omit<ScriptSchedules, 'reload'> {
  reload(options: {dryRun: boolean}): Promise<ReloadedSchedules>;
  history(query: HistoryQuery): Promise<ScheduleHistory>;
}

type Engine = Pick<ExecEngine, 'store' | 'call' | 'logs' | 'isScheduleOpen' | 'clock'>;

const maxErrorCharacters = 1000;

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

/** Calls the script as a client would. Its answer is read and thrown away, but for what an error says. */
async function fire({call, clock}: Engine, script: ScheduledScript): Promise<FireOutcome> {
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
    const request = new Request(`http://localhost${path}`, {signal: late.signal});
    const response = await call({request, path, target: path, clientIp: '', scheduled: true});
    const text = await response.text();
    return {
      status: response.ok ? 'success' : 'error',
      httpStatus: response.status,
      executionId: response.headers.get('x-execution-id'),
      error: response.ok ? null : text.slice(0, maxErrorCharacters),
    };
  } catch (error) {
    const isLate = late.signal.aborted || (error instanceof AppError && error.code === 'SCRIPT_TIMEOUT');
    return {
      status: isLate ? 'timeout' : 'error',
      httpStatus: error instanceof AppError ? statusOf(error.code) : null,
      executionId: null,
      error: isLate ? 'It did not answer in time.' : String(error instanceof Error ? error.message : error),
    };
  } finally {
    ended.abort();
  }
}

function statusOf(code: ErrorCode): number {
  return errorCatalogue[code].status;
}
