import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {createAuth} from '../../api/auth.ts';
import {createControllerApp} from '../../api/controller-app.ts';
import type {Deployer} from '../../api/deployers.ts';
import {createRuntimeClient} from '../../api/runtime-client.ts';
import {newBranchRecord} from '../../reconciler/branch-record.ts';
import {createContainerService} from '../../reconciler/container-service.ts';
import {createController} from '../../reconciler/controller.ts';
import {openFirstContacts} from '../../reconciler/first-contact.ts';
import {openJournal} from '../../reconciler/journal.ts';
import {openRecordStore} from '../../reconciler/record-store.ts';
import {openRunArchive} from '../../reconciler/run-archive.ts';
import {openUserTokens} from '../../reconciler/user-tokens.ts';
import {silentLog} from '../../runtime/platform/log.ts';
import {plainSettings} from '../../schemas/control.ts';
import {FakeClock} from './fake-clock.ts';
import type {Teardown} from './git-world.ts';
import {createStandaloneWorld} from './standalone-world.ts';
import {adminToken, createWebhookWorld} from './webhook-world.ts';

/** The admin token of the world's controller. */
const forgeStatus = {
  budget: {
    requests: 7,
    not_modified: 3,
    failures: 2,
    limited: 1,
    remaining: 4990,
    limit: 5000,
    resets_at: null,
  },
  reports: {waiting: 4, problem: null},
};

export const token = adminToken;

/**
 * The real controller without a provider, with four branches in its records and nothing to watch, beside real
 * standalone containers.
 */
export async function createControllerAppWorld(
  t: Teardown,
  {deployers = {}}: {deployers?: Readonly<Record<string, Deployer>>} = {},
) {
  const directory = await mkdtemp(join(tmpdir(), 'branchtab-app-'));
  const clock = new FakeClock();
  const records = await openRecordStore({directory: join(directory, 'branches'), log: silentLog});
  for (const repository of ['/srv/a', '/srv/b'])
    await records.save(newBranchRecord({repository, path: '.', branch: 'main', live: true}));
  await records.save(newBranchRecord({repository: '/srv/a', path: '.', branch: 'feature/x', live: false}));
  await records.save(
    newBranchRecord({repository: '/srv/a', path: '.', branch: '<script>alert(1)</script>', live: false}),
  );
  const controller = createController({
    repositories: [],
    provider: null,
    data: null,
    records,
    forge: null,
    contacts: openFirstContacts({
      directory: join(directory, 'repositories'),
      records,
      runUnasked: true,
      clock,
    }),
    journal: openJournal({directory: join(directory, 'journal'), clock, log: silentLog}),
    archive: openRunArchive({directory: join(directory, 'runs'), clock}),
    client: ({controlSocket}) => createRuntimeClient({socketPath: controlSocket}),
    checkScript: async () => [],
    scriptImports: async () => [],
    clock,
    log: silentLog,
    random: () => 0.5,
    baseUrl: () => 'http://127.0.0.1:7070',
    settings: plainSettings,
    readSecret: async () => '',
    previewRun: 'all',
    limits: {previewsPerRepository: 10_000, minFreeDiskPercent: 0, minFreeMemoryPercent: 0},
    room: async () => ({freeDiskPercent: 100, freeMemoryPercent: 100}),
    leaseMs: null,
    timeZone: 'UTC',
    concurrency: 1,
    stopGraceMs: 0,
  });
  await controller.start();
  t.teardown(async () => {
    await controller.stop();
    await rm(directory, {recursive: true, force: true});
  });
  const world = await createStandaloneWorld(t);
  const containers = createContainerService({
    retention: {keep: 2, names: new Set(['of-live'])},
    controller,
    standalone: await world.open(),
    provider: world.provider,
    baseUrl: () => 'http://127.0.0.1:7070',
  });
  const tokens = await openUserTokens({
    path: join(directory, 'tokens.json'),
    users: ['m.dossantos', 'j.okafor'],
    nowMs: () => clock.now(),
  });
  const auth = createAuth({token, userOfToken: tokens.userOf, now: () => clock.now()});
  const hooks = await createWebhookWorld(t, {repositories: [], deployers});
  const app = createControllerApp({
    controller,
    containers,
    tokens,
    deliveries: hooks.deliveries,
    forge: () => forgeStatus,
    hooks: hooks.app,
    auth,
    deployers: hooks.deployers,
    forgePathOf: () => null,
    version: '0.1.0',
    baseUrl: () => 'http://127.0.0.1:7070',
    ready: () => true,
    log: silentLog,
  });
  const call = (path: string, init: RequestInit = {}) =>
    app.request(path, {
      ...init,
      headers: {Authorization: `Bearer ${token}`, ...(init.headers as Record<string, string>)},
    });
  return {app, call, clock, auth, containers, world};
}
