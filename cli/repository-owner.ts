import {randomBytes} from 'node:crypto';
import {readdir} from 'node:fs/promises';
import {hostname} from 'node:os';
import {join} from 'node:path';
import {createRuntimeClient} from '../api/runtime-client.ts';
import {createClaimFile, releaseClaims} from '../reconciler/claim-file.ts';
import {containerRecordSchema, readRecord} from '../reconciler/containers/container-record.ts';
import {labelNames} from '../reconciler/containers/provider.ts';
import {type Claimant, createOwnership, type Ownership} from '../reconciler/ownership.ts';
import {pauseReasons} from '../reconciler/plan.ts';
import type {Source} from '../reconciler/sources/source.ts';
import {systemClock} from '../runtime/platform/clock.ts';
import {canonicalPath} from '../runtime/platform/directory-tree.ts';
import {isErrno, readTextIfPresent, writeFileDurably} from '../runtime/platform/durable-file.ts';
import type {Log} from '../runtime/platform/log.ts';
import type {Claim} from '../schemas/claim.ts';
import {type Environment, stateHome} from './settings.ts';

const ownersDirectory = (environment: Environment) => join(stateHome(environment), 'owners');
const ownerPath = (stateDirectory: string) => join(stateDirectory, 'owner');

/** What tells this state directory from all others, wherever it is moved to. */
export async function readOrCreateOwner(stateDirectory: string): Promise<string> {
  const known = (await readTextIfPresent(ownerPath(stateDirectory)))?.trim();
  if (known !== undefined && /^[0-9a-f]{32}$/.test(known)) return known;
  const owner = randomBytes(16).toString('hex');
  await writeFileDurably(ownerPath(stateDirectory), `${owner}\n`);
  return owner;
}

/** The claim of one repository for this state directory, not made yet. */
export async function openOwnership(
  source: Source,
  {
    stateDirectory,
    environment,
    withRef,
    processOf,
    log,
  }: {
    stateDirectory: string;
    environment: Environment;
    /** Claim it by its ref too, for controllers on other machines. */
    withRef: boolean;
    /** The controller that runs on a state directory of this machine, for people; null where none does. */
    processOf: (stateDirectory: string) => Promise<string | null>;
    log: Log;
  },
): Promise<Ownership> {
  const self: Claimant = {
    owner: await readOrCreateOwner(stateDirectory),
    host: hostname(),
    stateDirectory: await canonicalPath(stateDirectory),
  };
  return createOwnership({
    repository: source.repository,
    places: [
      createClaimFile({
        directory: ownersDirectory(environment),
        identity: source.identity,
        clock: systemClock,
      }),
      ...(withRef ? [source.ownerRef] : []),
    ],
    self,
    isThere,
    async describe({state_directory, host, claimed_at}) {
      const running = host === self.host ? await processOf(state_directory) : null;
      const how = running === null ? '' : ` (${running})`;
      return `the controller of ${state_directory} on ${host}${how}, since ${claimed_at}`;
    },
    clock: systemClock,
    log,
  });
}

async function isThere({state_directory, owner}: Claim): Promise<boolean> {
  try {
    return (await readTextIfPresent(ownerPath(state_directory)))?.trim() === owner;
  } catch (error) {
    // Another user's: whoever may not look must not take it for gone.
    return !isErrno(error, 'ENOTDIR');
  }
}

/** Nothing of the state directory runs any more: others may have its repositories. */
export async function releaseOwnClaims(stateDirectory: string, environment: Environment): Promise<void> {
  const owner = (await readTextIfPresent(ownerPath(stateDirectory)))?.trim();
  if (owner !== undefined) await releaseClaims(ownersDirectory(environment), owner, systemClock);
}

const longestPauseMs = 5000;

/**
 * Pauses what the former owner runs on this machine, so that no job runs twice, whether its controller is there to do
 * so itself or not. What cannot be reached does not run, or is on another machine.
 */
export async function pauseFormerOwner({repository, host, state_directory}: Claim, log: Log): Promise<void> {
  if (host !== hostname()) return;
  const containers = join(state_directory, 'containers');
  const names = await readdir(containers).catch(() => []);
  for (const name of names.filter((each) => /^[0-9a-f]{24}$/.test(each))) {
    const record = await readRecord(join(containers, name), containerRecordSchema);
    if ('problem' in record || record.labels[labelNames.repository] !== repository) continue;
    if (record.wanted !== 'running') continue;
    await createRuntimeClient({socketPath: record.control_socket})
      .setSchedule(
        {state: 'paused', reason: pauseReasons.takenOver},
        {signal: AbortSignal.timeout(longestPauseMs)},
      )
      .catch((error) =>
        log.warn('a container of the former owner could not be paused', {id: record.id, error}),
      );
  }
}
