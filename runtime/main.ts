import {join} from 'node:path';
import packageJson from '../package.json' with {type: 'json'};
import {AppError, isStorageFull} from '../schemas/errors.ts';
import {isNewBoot, readBoot} from './boot.ts';
import {parseRuntimeFlags, type RuntimeFlags, runtimeUsage} from './flags.ts';
import {healthOf, listen, type Pipe, preparePipe} from './listeners.ts';
import type {Authority} from './platform/authority.ts';
import {type Clock, systemClock} from './platform/clock.ts';
import {readTextIfPresent} from './platform/durable-file.ts';
import {type ExclusiveLock, takeExclusiveLock} from './platform/exclusive-lock.ts';
import {mkdir} from './platform/files.ts';
import type {HttpServer} from './platform/http-exchange.ts';
import {rememberLast} from './platform/lazily.ts';
import {createLog, type Log, writeToStandardError} from './platform/log.ts';
import {releaseMemory} from './platform/memory.ts';
import {whenQuiet} from './platform/quiet.ts';
import {openServices, type Services} from './services.ts';
import {containerVariables} from './variables.ts';

/** `runtime ...` serves one container until SIGTERM. */
export async function runtimeMain([word, ...args]: readonly string[]): Promise<void> {
  if (word === 'runtime' && (args.includes('--help') || args.includes('-h'))) {
    console.log(runtimeUsage);
    process.exit(0);
  }
  if (word !== 'runtime') {
    console.error(runtimeUsage);
    process.exit(2);
  }
  try {
    await serve(parseRuntimeFlags(args));
  } catch (error) {
    console.error(messageOf(error));
    process.exit(error instanceof AppError && error.code === 'CONFIG_INVALID' ? 2 : 1);
  }
}

/** A sentence for what people can mend, the error with its stack for everything else. */
function messageOf(error: unknown): unknown {
  if (error instanceof AppError) return `branchtab runtime: ${error.message}`;
  return isStorageFull(error)
    ? 'branchtab runtime: The disk of --data is full. Free some space and start it again.'
    : error;
}

async function serve(flags: RuntimeFlags): Promise<void> {
  const clock = systemClock;
  const log = createLog(writeToStandardError, clock.now);
  for (const directory of [flags.data, flags.home]) await mkdir(directory, {recursive: true, mode: 0o700});
  const lock = takeExclusiveLock(join(flags.data, 'lock'));
  if (lock === null) {
    throw new AppError(
      'STATE_LOCKED',
      `Another runtime uses ${flags.data}. Stop it, or choose another --data.`,
    );
  }
  let kitUrl: string | null = null;
  let trusted: Readonly<Record<string, string>> = {};
  const hasKitNames = /\bhoody-exec\b/.test((await readTextIfPresent('/etc/hosts')) ?? '');
  const noteActivity = whenQuiet({clock, quietMs, act: releaseMemory});
  const variablesOf = rememberLast((given: Readonly<Record<string, string>>) =>
    containerVariables({
      trusted,
      given,
      path: process.env.PATH ?? '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      language: process.env.LANG ?? 'C.UTF-8',
      timeZone: flags.timeZone,
      home: flags.home,
      workspace: flags.workspace,
      container: flags.container,
      kitUrl,
      hasKitNames: hasKitNames && flags.controlSocket !== null,
    }),
  );
  const boot = await readBoot(flags);
  const services = await openServices(flags, {boot, clock, log, variablesOf, noteActivity});
  const health = healthOf(clock);
  const pipe = await preparePipe(flags, {health, onUnused: noteActivity, clock, log});
  const authority = await prepareAuthority(flags, {clock, log});
  const servers = await listen(flags, services, {health, pipe, authority, clock, log});
  const [kits] = servers;
  kitUrl = kits.url.startsWith('http:') ? kits.url : null;
  if (authority !== null && servers.some(({url}) => url.startsWith('https:')))
    trusted = await authority.trust();
  variablesOf.forget();
  services.cron.setScheduleState(services.control.gate());
  services.cron.start({reboot: await isNewBoot(flags, boot)});
  stopOnSignal(flags, services, {servers, pipe, lock, log});
  releaseMemoryWhenQuiet(services, noteActivity);
  announce(flags, {kitUrl: kits.url, pipeUrl: pipe.url});
}

/** Most containers have no names of a domain. */
async function prepareAuthority(
  {secureListen, data, allowedHosts}: RuntimeFlags,
  {clock, log}: {clock: Clock; log: Log},
): Promise<Authority | null> {
  if (secureListen === null) return null;
  const {openAuthority} = await import('./platform/authority.ts');
  return await openAuthority({store: data, names: allowedHosts, clock, log});
}

const quietMs = 10_000;

/** Most containers wait for hours after a deployment; dozens of them share one machine. */
function releaseMemoryWhenQuiet({control, cron, exec}: Services, noteActivity: () => void): void {
  for (const service of [control, cron, exec]) {
    service.on(({type}) => {
      // Jobs run in processes of their own and leave little here.
      if (type !== 'run_started' && type !== 'run_finished') noteActivity();
    });
  }
  noteActivity();
}

const callGraceMs = 1000;
/** By then all calls have ended or were cut; what is left are connections kept open for more. */
const connectionGraceMs = 100;

/** The kits answer until the last job has ended, since jobs call them. A second signal ends the wait. */
function stopOnSignal(
  flags: RuntimeFlags,
  {cron, exec, notifications}: Services,
  {servers, pipe, lock, log}: {servers: readonly HttpServer[]; pipe: Pipe; lock: ExclusiveLock; log: Log},
): void {
  const stop = async () => {
    const {graceMs} = flags;
    await Promise.all([cron.stop({graceMs, reason: 'shutdown'}), pipe.stop({graceMs})]);
    await exec.stop({graceMs: callGraceMs});
    await Promise.all(servers.map((server) => server.close({graceMs: connectionGraceMs})));
    cron.close();
    notifications.close();
    lock.release();
    process.exit(0);
  };
  let stopping = false;
  const onSignal = async (signal: string) => {
    log.info('stopping', {signal});
    if (stopping) return Promise.all([cron.stop({graceMs: 0, reason: 'shutdown'}), pipe.stop({graceMs: 0})]);
    stopping = true;
    return stop();
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      onSignal(signal).catch((error: unknown) => {
        log.error('could not stop in order', {error});
        process.exit(1);
      });
    });
  }
}

/** Under a controller: one line of JSON, and never anything more on stdout. */
function announce(
  {controlSocket}: RuntimeFlags,
  {kitUrl, pipeUrl}: {kitUrl: string; pipeUrl: string | null},
): void {
  if (controlSocket === null) {
    const pipe = pipeUrl === null ? '' : `pipe service listens on ${pipeUrl}\n`;
    // In one: who has read the first line may read no more.
    process.stdout.write(`branchtab runtime listens on ${kitUrl}\n${pipe}`);
    return;
  }
  const ready = {ready: true, pid: process.pid, kit_url: kitUrl, runtime_version: packageJson.version};
  process.stdout.write(`${JSON.stringify(ready)}\n`);
}
