import {readdir, rm} from 'node:fs/promises';
import {join} from 'node:path';
import {type ContainerProvider, labelNames} from '../../reconciler/containers/provider.ts';
import {systemClock} from '../../runtime/platform/clock.ts';
import {isErrno} from '../../runtime/platform/durable-file.ts';
import {silentLog} from '../../runtime/platform/log.ts';
import {AppError} from '../../schemas/errors.ts';
import {isConfirmed} from '../confirmation.ts';
import {openProviderToStop} from '../container-provider.ts';
import {removeControllerFile} from '../controller-file.ts';
import {announcedController, lockState, stopAll} from '../controller-process.ts';
import {type ExitCode, exitCodes} from '../exit-codes.ts';
import {releaseOwnClaims} from '../repository-owner.ts';
import {type Environment, readSettings, type SettingsFlags} from '../settings.ts';
import {printable, type Terminal} from '../terminal.ts';

export interface DownFlags extends Pick<SettingsFlags, 'repo' | 'state' | 'config'> {
  readonly purge?: boolean;
  readonly yes?: boolean;
  readonly json?: boolean;
}

const controllerExitMs = 15_000;
const lockPollMs = 20;

/** `branchtab down`: ends the controller, then every container of its state directory. `--purge` removes them too. */
export async function down(
  flags: DownFlags,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const {config, stateDirectory} = await readSettings(flags, environment);
  if (!(await exists(stateDirectory))) {
    terminal.err(`Nothing runs: there is no state directory ${stateDirectory}.\n`);
    if (flags.json) terminal.out(`${JSON.stringify({stopped: 0, removed: 0})}\n`);
    return exitCodes.ok;
  }
  const lock = await takeOver(stateDirectory, terminal);
  const provider = await openProviderToStop(config, {stateDirectory, environment, log: silentLog});
  try {
    const stopped = await stopAll(provider, config.stop_grace);
    await releaseOwnClaims(stateDirectory, environment);
    const away = (await provider.awayMachines()).join(', ');
    if (away !== '') {
      terminal.err(
        `${away} of the cluster does not answer: what runs there may go on. ${flags.purge ? 'Nothing was removed, as nobody would know of it any more. ' : ''}When it is back, or was removed from the cluster for good, run \`branchtab down${flags.purge ? ' --purge' : ''}\` again.\n`,
      );
      return exitCodes.failed;
    }
    const removed = flags.purge ? await purge(provider, {stateDirectory, flags, terminal}) : 0;
    if (removed === null) return exitCodes.failed;
    if (flags.json) terminal.out(`${JSON.stringify({stopped, removed})}\n`);
    else
      terminal.out(
        `Stopped ${stopped} container(s)${flags.purge ? `, removed ${removed}` : '; `branchtab up` starts them again'}.\n`,
      );
    return exitCodes.ok;
  } finally {
    await provider.close();
    lock.release();
  }
}

async function exists(directory: string): Promise<boolean> {
  return readdir(directory).then(
    () => true,
    () => false,
  );
}

/** Asks a running controller to end and waits until the state directory is free. */
async function takeOver(stateDirectory: string, terminal: Terminal): ReturnType<typeof lockState> {
  const deadlineMs = systemClock.now() + controllerExitMs;
  let asked = false;
  for (;;) {
    try {
      const lock = await lockState(stateDirectory);
      await removeControllerFile(stateDirectory);
      return lock;
    } catch (error) {
      if (!(error instanceof AppError && error.code === 'STATE_LOCKED') || systemClock.now() > deadlineMs)
        throw error;
    }
    const pid = asked ? null : await announcedController(stateDirectory);
    if (pid !== null) {
      terminal.err(`Stopping the controller (pid ${pid})...\n`);
      askToEnd(pid);
      asked = true;
    }
    await systemClock.sleep(lockPollMs);
  }
}

function askToEnd(pid: number): void {
  try {
    process.kill(pid, 'SIGTERM');
  } catch (error) {
    // It ended by itself in between: the lock is free at the next look.
    if (!isErrno(error, 'ESRCH')) throw error;
  }
}

/** Null where the person at the terminal says no. */
async function purge(
  provider: ContainerProvider,
  {stateDirectory, flags, terminal}: {stateDirectory: string; flags: DownFlags; terminal: Terminal},
): Promise<number | null> {
  const containers = await provider.list();
  const snapshots = await provider.listSnapshots();
  terminal.err(`Removing for good from ${stateDirectory}:\n`);
  for (const {id, name, labels} of containers) {
    terminal.err(
      `  ctr_${id}  ${printable(labels[labelNames.branch] ?? name)}: its data directory, hand-made entries and run records\n`,
    );
  }
  for (const {name} of snapshots) terminal.err(`  snapshot ${printable(name)}\n`);
  terminal.err('  backups, the kept run records of removed branches, and the tokens of the API\n');
  if (process.stdin.isTTY && !flags.yes && !(await isConfirmed('purge'))) {
    terminal.err('Nothing was removed.\n');
    return null;
  }
  for (const {id} of containers) await provider.remove(id);
  for (const {name} of snapshots) await provider.removeSnapshot(name);
  for (const name of await readdir(stateDirectory)) {
    if (name !== 'lock') await rm(join(stateDirectory, name), {recursive: true, force: true});
  }
  return containers.length;
}
