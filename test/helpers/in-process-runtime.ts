import {rm} from 'node:fs/promises';
import type {ContainerPaths} from '../../reconciler/containers/container-paths.ts';
import type {ContainerRecord} from '../../reconciler/containers/container-record.ts';
import {isNewBoot} from '../../runtime/boot.ts';
import type {RuntimeFlags} from '../../runtime/flags.ts';
import {healthOf, listen, type Pipe} from '../../runtime/listeners.ts';
import type {Clock} from '../../runtime/platform/clock.ts';
import type {Log} from '../../runtime/platform/log.ts';
import {openServices} from '../../runtime/services.ts';
import {containerVariables} from '../../runtime/variables.ts';
import type {Inside} from './in-process-provider.ts';
import {type Life, lived, until} from './life.ts';

/** The runtime as `runtime/main.ts` puts it together, but for the process around it and the pipe. */
export async function startInProcessRuntime(
  record: ContainerRecord,
  paths: ContainerPaths,
  {clock: worldClock, life, log}: {clock: Clock; life: Life; log: Log},
): Promise<Inside & {readonly runningJobs: () => number}> {
  const clock = lived(worldClock, life);
  const flags: RuntimeFlags = {
    data: paths.store,
    home: paths.data,
    workspace: paths.workspace,
    listen: {kind: 'tcp', host: '127.0.0.1', port: 0},
    fallbackPort: false,
    pipeListen: null,
    controlSocket: paths.controlSocket,
    timeZone: record.time_zone,
    container: record.id,
    boot: record.boot_mark,
    bootFile: null,
    users: [],
    allowedHosts: [],
    secureListen: null,
    smtpUrl: null,
    execIdleMs: 300_000,
    execWarm: false,
    execMemoryBytes: 1024 ** 3,
    graceMs: 30_000,
  };
  let kitUrl: string | null = null;
  const services = await openServices(flags, {
    boot: record.boot_mark,
    clock,
    log,
    variablesOf: (given) =>
      containerVariables({
        trusted: {},
        given,
        path: process.env.PATH ?? '/usr/bin:/bin',
        language: 'C.UTF-8',
        timeZone: flags.timeZone,
        home: flags.home,
        workspace: flags.workspace,
        container: record.id,
        kitUrl,
        hasKitNames: false,
      }),
    noteActivity: () => {},
  });
  const pipe: Pipe = {
    url: null,
    handle() {
      throw new Error('no pipe here');
    },
    orderPumps() {
      throw new Error('no pipe here');
    },
    stop: async () => {},
  };
  await rm(paths.controlSocket, {force: true});
  const servers = await listen(flags, services, {
    health: healthOf(clock),
    pipe,
    authority: null,
    clock,
    log,
  });
  kitUrl = servers[0].url;
  const {cron, exec, notifications, control} = services;
  cron.setScheduleState(control.gate());
  cron.start({reboot: await isNewBoot(flags, record.boot_mark)});
  const close = async () => {
    await exec.stop({graceMs: 0});
    await Promise.all(servers.map((server) => server.close({graceMs: 0})));
    cron.close();
    notifications.close();
  };
  return {
    kitUrl,
    runtimeVersion: '0.1.0',
    runningJobs: cron.runningJobs,
    async stop({graceMs}) {
      await cron.stop({graceMs, reason: 'shutdown'});
      await close();
    },
    async kill() {
      life.end();
      // A process that is killed takes its jobs along; these are short and end by themselves.
      await until(() => cron.runningJobs() === 0, 'the jobs of a runtime that was killed');
      await close();
    },
  };
}
