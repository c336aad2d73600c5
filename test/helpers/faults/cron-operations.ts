import {Database} from 'bun:sqlite';
import {join} from 'node:path';
import {type CronService, openCron} from '../../../runtime/cron/service.ts';
import {silentLog} from '../../../runtime/platform/log.ts';
import {createSecretMask} from '../../../runtime/platform/secret-mask.ts';
import type {ControlEvent} from '../../../schemas/control-state.ts';
import {FakeClock} from '../fake-clock.ts';

/** Each of the minutes 1 to 4 has a job of its own, which adds the number of its minute to the file `ran`. */
const jobs = [1, 2, 3, 4].map((minute) => `${minute} 9 * * * echo ${minute} >> ran\n`).join('');
/** What a crontab may hold and a careless writer would change. */
export const rawText = `# kept\tbyte for byte \r\n\n${jobs}# no end of line`;
export const otherText = `${jobs}MAILTO=""\n\n@daily true\n`;

export interface Started {
  readonly cron: CronService;
  readonly clock: FakeClock;
  readonly directory: string;
}

export interface CronOperation {
  /** Brings the service to where the operation begins; it is not killed meanwhile. */
  prepare?(started: Started): Promise<void>;
  /** What it returns was acknowledged. */
  act(started: Started): Promise<unknown>;
}

export const startOfOperation = '2026-05-18T09:00:10Z';
const entryInput = {schedule: '@yearly', command: 'echo entry >> ran', name: 'an entry', comment: 'of "it"'};
const untilDueMs = 50_000;
const minuteMs = 60_000;

export async function startCron(directory: string, at: string): Promise<Started> {
  const clock = new FakeClock(at);
  const cron = await openCron({
    directory: join(directory, 'cron'),
    dataDirectory: directory,
    clock,
    log: silentLog,
    defaultTimeZone: 'UTC',
    users: [],
    environment: () => ({revision: null, variables: {}, mask: createSecretMask([])}),
  });
  cron.setScheduleState('running');
  cron.start({reboot: false});
  return {cron, clock, directory};
}

function put({cron}: Started, text: string, managed: 'keep' | 'replace' = 'replace'): Promise<unknown> {
  return cron.putCrontab('root', text, {managed, ifMatch: null});
}

function next({cron}: Started, wanted: ControlEvent['type']): Promise<void> {
  return new Promise((resolve) => {
    cron.on(({type}) => {
      if (type === wanted) resolve();
    });
  });
}

const changed = (started: Started) => next(started, 'crontab_changed');

async function advanceAndFinish(started: Started, ms: number): Promise<void> {
  await Promise.all([next(started, 'run_finished'), started.clock.advance(ms)]);
}

async function onlyEntry({cron}: Started): Promise<string> {
  const {entries} = await cron.listEntries('root', {page: 1, limit: 10});
  for (const entry of entries) if (entry.type === 'managed') return entry.id;
  throw new Error('There is no entry.');
}

const withEntry = async ({cron}: Started) => {
  await cron.createEntry('root', entryInput);
};

export const cronOperations = {
  'a PUT': {act: (started) => put(started, otherText)},
  'a PUT of nothing': {act: (started) => put(started, '')},
  'a PUT beside an entry': {prepare: withEntry, act: (started) => put(started, otherText, 'keep')},
  'a POST': {act: ({cron}) => cron.createEntry('root', entryInput)},
  'a PATCH': {
    prepare: withEntry,
    act: async (started) => started.cron.updateEntry('root', await onlyEntry(started), {name: 'changed'}),
  },
  'a DELETE': {
    prepare: withEntry,
    act: async (started) => started.cron.deleteEntry('root', await onlyEntry(started)),
  },
  'a pause': {
    prepare: withEntry,
    act: async (started) =>
      started.cron.pauseEntry('root', await onlyEntry(started), {reason: 'for the test'}),
  },
  'a fire': {act: (started) => advanceAndFinish(started, untilDueMs)},
  'a run of its own instant': {
    prepare: async ({cron}) => {
      await cron.createEntry('root', {command: 'echo once >> ran', run_at: '2026-05-18T09:00:30Z'});
    },
    act: (started) => Promise.all([changed(started), advanceAndFinish(started, 20_000)]),
  },
  'an expiry': {
    prepare: async ({cron}) => {
      const ends = {schedule: '* * * * *', expires_at: '2026-05-18T09:00:59Z'};
      await cron.createEntry('root', {command: 'echo expired >> ran', ...ends});
    },
    act: (started) => Promise.all([changed(started), started.clock.advance(untilDueMs - 1000)]),
  },
  'a start after a crash': {
    async prepare(started) {
      await advanceAndFinish(started, untilDueMs);
      await started.cron.stop({graceMs: 0, reason: 'test'});
      started.cron.close();
      const database = new Database(join(started.directory, 'cron', 'runs.db'));
      database.run("UPDATE runs SET status = 'running', reason = NULL, finished_ms = NULL, exit_code = NULL");
      database.close();
    },
    act: ({directory, clock}) => startCron(directory, new Date(clock.now() + 1.5 * minuteMs).toISOString()),
  },
  'a stop': {
    prepare: (started) => advanceAndFinish(started, untilDueMs),
    async act({cron}) {
      await cron.stop({graceMs: 0, reason: 'shutdown'});
      cron.close();
    },
  },
} satisfies Record<string, CronOperation>;

export type OperationName = keyof typeof cronOperations;
