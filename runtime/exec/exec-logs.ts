import {join} from 'node:path';
import type {ScheduledRun} from '../../schemas/exec-operations.ts';
import type {Clock} from '../platform/clock.ts';
import type {Log} from '../platform/log.ts';
import type {CallEnd} from './call-monitor.ts';
import {createLogFile, type LogFile} from './log-file.ts';

/** The files that exec writes to while it runs. */
export interface ExecLogs {
  readonly directory: string;
  /** One line of JSON per call. */
  readonly access: LogFile;
  /** One line of JSON per run of a script's own schedule. */
  readonly fires: LogFile;
  noteCall(call: CallEnd): void;
  noteFire(run: ScheduledRun): void;
  flush(): Promise<void>;
}

export function openExecLogs({directory, clock, log}: {directory: string; clock: Clock; log: Log}): ExecLogs {
  const onError = (error: unknown) => log.error('a log of exec could not be written', {error});
  const access = createLogFile({path: join(directory, 'access/access.log'), clock, onError});
  const fires = createLogFile({path: join(directory, 'cron/fires.log'), clock, onError});
  return {
    directory,
    access,
    fires,
    noteCall({call: {executionId, scriptPath, method, path}, startedMs, durationMs, status}) {
      access.write(() => {
        const time = new Date(startedMs).toISOString();
        return JSON.stringify({time, executionId, scriptPath, method, path, status, durationMs});
      });
    },
    noteFire: (run) => fires.write(() => JSON.stringify(run)),
    async flush() {
      await Promise.all([access.flush(), fires.flush()]);
    },
  };
}
