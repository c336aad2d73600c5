/** `bun resync-controller.ts <repository> <records> <passes>`: a controller without containers, driven by `resync.ts`. */
import {setImmediate} from 'node:timers/promises';
import {createController} from '../reconciler/controller.ts';
import {openFirstContacts} from '../reconciler/first-contact.ts';
import {openJournal} from '../reconciler/journal.ts';
import {openRecordStore} from '../reconciler/record-store.ts';
import {openRunArchive} from '../reconciler/run-archive.ts';
import {openLocalSource} from '../reconciler/sources/git-local.ts';
import {systemClock} from '../runtime/platform/clock.ts';
import {type Log, silentLog} from '../runtime/platform/log.ts';
import {plainSettings} from '../schemas/control.ts';
import type {ResyncLine} from './resync.ts';

const [repository = '', recordsDirectory = '', passes = '1'] = process.argv.slice(2);
const day = 24 * 3_600_000;
/** An error would make the figures worthless. */
const log: Log = {
  ...silentLog,
  error(message, fields) {
    throw new Error(`${message}: ${JSON.stringify(fields)}`);
  },
};
const print = (line: ResyncLine) => console.log(JSON.stringify(line));

const source = await openLocalSource({path: repository, environment: process.env, clock: systemClock, log});
let announceChange = () => {};
const records = await openRecordStore({directory: recordsDirectory, log});
const controller = createController({
  repositories: [
    {
      // A pass begins when a file event says so, as it does for a real push; here the bench says so.
      source: {
        ...source,
        watch(onChange) {
          announceChange = onChange;
          return () => {};
        },
      },
      includes: () => true,
      live: null,
      environments: [],
      forks: null,
      forgePath: null,
      ownership: null,
      policy: {drift: 'revert', undoWindowMs: day, intervalMs: day, driftIntervalMs: day},
      paths: null,
    },
  ],
  provider: null,
  data: null,
  records,
  forge: null,
  contacts: openFirstContacts({
    directory: `${recordsDirectory}-repositories`,
    records,
    runUnasked: true,
    clock: systemClock,
  }),
  journal: openJournal({directory: `${recordsDirectory}-journal`, clock: systemClock, log: silentLog}),
  archive: openRunArchive({directory: `${recordsDirectory}-runs`, clock: systemClock}),
  client: () => {
    throw new Error('without a provider no container is asked');
  },
  checkScript: async () => [],
  scriptImports: async () => [],
  clock: systemClock,
  log,
  random: Math.random,
  baseUrl: () => 'http://127.0.0.1',
  settings: plainSettings,
  readSecret: async () => '',
  previewRun: 'all',
  limits: {previewsPerRepository: 10_000, minFreeDiskPercent: 0, minFreeMemoryPercent: 0},
  room: async () => ({freeDiskPercent: 100, freeMemoryPercent: 100}),
  leaseMs: null,
  timeZone: 'UTC',
  concurrency: 8,
  stopGraceMs: 0,
});
await controller.start();
print({type: 'started', branches: controller.branches().length});

let work = 0;
controller.subscribe(() => {
  work += 1;
});
const listedAt = () => controller.repositories()[0]?.listed_at;
for (let pass = 0; pass < Number(passes); pass += 1) {
  const before = {listedAt: listedAt(), processes: source.gitProcesses(), work};
  const startMs = performance.now();
  announceChange();
  while (listedAt() === before.listedAt) await setImmediate();
  print({
    type: 'pass',
    ms: performance.now() - startMs,
    git_processes: source.gitProcesses() - before.processes,
    work: work - before.work,
  });
}
print({type: 'memory', rss_mb: process.memoryUsage().rss / 1024 / 1024});
await controller.stop();
