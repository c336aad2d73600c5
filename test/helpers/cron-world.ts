import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import type {ExecutionContext} from 'ava';
import {type CronOptions, type CronService, openCron} from '../../runtime/cron/service.ts';
import {silentLog} from '../../runtime/platform/log.ts';
import {createSecretMask} from '../../runtime/platform/secret-mask.ts';
import type {ScheduleGate} from '../../schemas/control.ts';
import type {ControlEvent} from '../../schemas/control-state.ts';
import type {Run} from '../../schemas/run.ts';
import {FakeClock} from './fake-clock.ts';

export interface CronWorld {
  readonly cron: CronService;
  readonly clock: FakeClock;
  /** Sets the wall clock of the service without a change to how long its sleeps take. */
  stepClock(ms: number): void;
  readonly directory: string;
  readonly events: readonly ControlEvent[];
  /** Resolves when so many runs are over since the service was opened. */
  finished(count: number): Promise<void>;
  /** Resolves with the first output of root's newest run; '' where it ends without any. */
  wrote(): Promise<string>;
  /** Newest first. */
  runs(user?: string): Promise<Run[]>;
  put(text: string, user?: string): Promise<void>;
  text(user?: string): Promise<string>;
  /** Ends this service and opens another one on the same directory. */
  reopen(options?: Partial<CronOptions> & WorldOptions): Promise<CronWorld>;
}

export interface WorldOptions {
  readonly at?: string;
  readonly state?: ScheduleGate | 'not_started';
  readonly reboot?: boolean;
}

/** A cron service on a directory of its own and a clock that stands still; processes are real. */
export async function createCronWorld(
  t: ExecutionContext,
  options: Partial<CronOptions> & WorldOptions = {},
): Promise<CronWorld> {
  const directory = await mkdtemp(join(tmpdir(), 'cron-'));
  t.teardown(() => rm(directory, {recursive: true, force: true}));
  return openWorld(t, directory, new FakeClock(options.at ?? '2026-05-18T09:00:00Z'), options);
}

async function openWorld(
  t: ExecutionContext,
  directory: string,
  clock: FakeClock,
  {state = 'running', reboot = false, at: _at, ...options}: Partial<CronOptions> & WorldOptions,
): Promise<CronWorld> {
  let stepMs = 0;
  const cron = await openCron({
    directory: join(directory, 'cron'),
    dataDirectory: directory,
    clock: {now: () => clock.now() + stepMs, sleep: (ms, how) => clock.sleep(ms, how)},
    log: silentLog,
    defaultTimeZone: 'UTC',
    users: ['m.dossantos', 'j.okafor'],
    environment: () => ({revision: 'abc123', variables: {HOODY_BRANCH: 'main'}, mask: createSecretMask([])}),
    ...options,
  });
  const events: ControlEvent[] = [];
  const waiting = new Set<() => void>();
  cron.on((event) => {
    events.push(event);
    for (const look of waiting) look();
  });
  if (state !== 'not_started') {
    cron.setScheduleState(state);
    cron.start({reboot});
  }
  const close = async () => {
    await cron.stop({graceMs: 0, reason: 'test_over'});
    cron.close();
  };
  let open = true;
  t.teardown(() => (open ? close() : undefined));
  return {
    cron,
    clock,
    stepClock(ms) {
      stepMs += ms;
    },
    directory,
    events,
    finished: (count) =>
      new Promise((resolve) => {
        const look = () => {
          if (events.filter(({type}) => type === 'run_finished').length < count) return;
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
        look();
      }),
    async wrote() {
      const filter = {entry: null, status: null, sinceMs: null, untilMs: null, cursor: null, limit: 1};
      const left = new AbortController();
      for (const {id} of (await cron.listRuns('root', filter)).items) {
        for await (const event of await cron.followRun('root', id, left.signal))
          if (event.type === 'output') return event.text;
      }
      return '';
    },
    async runs(user = 'root') {
      const filter = {entry: null, status: null, sinceMs: null, untilMs: null, cursor: null, limit: 200};
      return (await cron.listRuns(user, filter)).items;
    },
    async put(text, user = 'root') {
      await cron.putCrontab(user, text, {managed: 'replace', ifMatch: null});
    },
    text: async (user = 'root') => (await cron.getCrontab(user)).crontab,
    async reopen(again = {}) {
      open = false;
      await close();
      return openWorld(t, directory, clock, {...options, ...again});
    },
  };
}
