import {randomBytes} from 'node:crypto';
import type {Clock} from '../../../runtime/platform/clock.ts';
import {type DetachedProcess, spawnDetached} from '../../../runtime/platform/detached-process.ts';
import {
  listProcesses,
  namespacePids,
  type ProcessIdentity,
  type ProcessRow,
  readProcess,
  withDescendants,
} from '../../../runtime/platform/processes.ts';
import {AppError} from '../../../schemas/errors.ts';
import {markerName, programPath} from '../inside.ts';
import {endProcesses} from './container-processes.ts';
import {gated, type Sandbox} from './sandbox.ts';
import {joinUplink, probeUplink, type Uplink, uplinks} from './uplink.ts';

const hasRoute = "grep -q '^[^ \t]*\t00000000\t' /proc/net/route && echo connected";
const maxLineBytes = 4_096;

/** The sandbox with a network namespace of its own, connected by the first of `candidates` that can do it here. */
export async function findNetwork(
  sandbox: Sandbox,
  clock: Clock,
  candidates: readonly Uplink[] = uplinks,
): Promise<{sandbox: Sandbox} | {reason: string}> {
  const reasons: string[] = [];
  for (const uplink of candidates) {
    const probed = await probeUplink(uplink);
    const reason = probed.works ? await tryUplink(sandbox, uplink, clock) : probed.reason;
    if (reason === null) return {sandbox: {...sandbox, uplink}};
    reasons.push(reason);
  }
  return {reason: reasons.join('; ')};
}

/** Connects a sandbox that looks for its route and ends. Null where it found one, the reason otherwise. */
async function tryUplink({skeleton}: Sandbox, uplink: Uplink, clock: Clock): Promise<string | null> {
  const mark = `probe-${randomBytes(8).toString('hex')}`;
  const env = {PATH: programPath, [markerName]: mark};
  const where = {env, cwd: '/', stderrPath: '/dev/null', maxLineBytes};
  const command = [...skeleton, '--unshare-net', '--', ...gated(['/bin/sh', '-c', hasRoute])];
  const started = await spawnDetached({...where, command, stdin: true});
  const root = readProcess(started.pid);
  try {
    if ((await started.nextLine()) === null) return 'no network namespace can be made';
    await openGate(uplink, started, {env, cwd: '/', logPath: '/dev/null'});
    return (await started.nextLine()) === 'connected' ? null : `${uplink.program} makes no route`;
  } catch (error) {
    return error instanceof AppError ? error.message : String(error);
  } finally {
    started.release();
    await endProcesses({containerId: mark, roots: root === null ? [] : [root], cgroup: null}, clock);
  }
}

/**
 * Connects the sandbox of `started`, which waits at its gate, and lets it go on. The program that connects it is found
 * by the marker in `env`; null where it does not tell who it is. Throws PROVIDER_UNAVAILABLE.
 */
export async function openGate(
  uplink: Uplink,
  started: DetachedProcess,
  where: {env: Readonly<Record<string, string>>; cwd: string; logPath: string},
): Promise<ProcessIdentity | null> {
  const root = readProcess(started.pid);
  const rows = root === null ? [] : withDescendants(await listProcesses(), [root]);
  const member = rows.find(isInNamespace);
  if (member === undefined)
    throw new AppError('PROVIDER_UNAVAILABLE', 'The sandbox ended before its network was connected.');
  const joined = await joinUplink(uplink, {...where, pid: member.pid});
  started.tell('connected');
  return joined;
}

/** Processes of an inner pid namespace: there pids inside and outside may be the same number. */
export function isInNamespace({pid}: ProcessRow): boolean {
  return namespacePids(pid).length > namespacePids(process.pid).length;
}
