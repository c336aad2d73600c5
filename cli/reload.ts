import {closeSync, openSync} from 'node:fs';
import type {Log} from '../runtime/platform/log.ts';
import {AppError} from '../schemas/errors.ts';
import {configChange} from './config-change.ts';
import {type ControllerProcess, startControllerProcess} from './controller-process.ts';
import type {Environment, Settings} from './settings.ts';

/** A running controller with the settings it was started with. */
export interface Running {
  readonly process: ControllerProcess;
  readonly settings: Settings;
}

/**
 * Brings a controller to new settings: it ends and starts again in this process, while all schedules go on. Where it
 * cannot start with them it goes on with the former ones. Answers what changed, a line each, or why nothing did.
 */
export async function reload(
  {process: former, settings: before}: Running,
  read: () => Promise<Settings>,
  {environment, log, runAll}: {environment: Environment; log: Log; runAll: boolean},
): Promise<Running & {changes: string[]; problem: string | null}> {
  const unchanged = (problem: string | null) => ({process: former, settings: before, changes: [], problem});
  let settings: Settings;
  try {
    settings = await read();
    if (settings.stateDirectory !== before.stateDirectory)
      throw new AppError(
        'CONFIG_INVALID',
        `The state directory would be ${settings.stateDirectory} in place of ${before.stateDirectory}. Set \`state\`, or end this controller and start another`,
      );
  } catch (error) {
    return unchanged(problemOf(error));
  }
  if (JSON.stringify(settings.config) === JSON.stringify(before.config)) return unchanged(null);
  const branches = former.controller.branches();
  const start = async (wanted: Settings) => {
    const started = await startControllerProcess({
      // A free port that was taken at the start stays the one that others know.
      settings: {...wanted, config: {...wanted.config, listen: addressFor(wanted, before, former)}},
      environment,
      log,
      // Nobody is there to be asked: a repository that is new and large is refused.
      firstContact: {
        runAll,
        async agree(meetings) {
          const [first] = meetings;
          if (first === undefined) return true;
          throw new AppError(
            'CONFIRMATION_NEEDED',
            `${first.census.repository} is new and has ${first.census.branches.length} branches; start \`branchtab up\` anew to be asked`,
          );
        },
      },
      takeOver: false,
    });
    if (started === null) throw new AppError('CONFIG_INVALID', 'Nothing was started');
    return started;
  };
  await former.stop({stopContainers: false});
  try {
    const started = await start(settings);
    const changes = configChange(
      {config: before.config, repositories: former.repositories},
      {config: settings.config, repositories: started.repositories},
      branches,
    );
    for (const change of changes) log.info('the configuration changed', {change});
    return {process: started, settings, changes, problem: null};
  } catch (error) {
    log.error('the new configuration could not be used', {error});
    return {process: await start(before), settings: before, changes: [], problem: problemOf(error)};
  }
}

function addressFor(wanted: Settings, before: Settings, {listening}: ControllerProcess): string {
  return wanted.config.listen === before.config.listen ? listening : wanted.config.listen;
}

function problemOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** True where the terminal of this process was closed: what SIGHUP meant before it meant reloading. */
export function isTerminalGone(): boolean {
  if (!process.stdin.isTTY && !process.stdout.isTTY) return false;
  try {
    closeSync(openSync('/dev/tty', 'r'));
    return false;
  } catch {
    // It cannot be opened any more.
    return true;
  }
}
