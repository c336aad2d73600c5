import {spawnDetached} from '../../../runtime/platform/detached-process.ts';
import {type ProbeResult, probeCommand} from '../../../runtime/platform/probe-command.ts';
import {type ProcessIdentity, readProcess} from '../../../runtime/platform/processes.ts';
import {AppError} from '../../../schemas/errors.ts';
import {programPath} from '../inside.ts';

/**
 * A program that connects a network namespace with the world through ordinary sockets of this host, without a way
 * from outside in and without a way to the host's loopback addresses.
 */
export interface Uplink {
  readonly program: 'slirp4netns' | 'pasta';
  /** Where the namespace asks for names; the program asks the host's own resolver. */
  readonly nameServer: string;
}

/**
 * In order of preference: an idle slirp4netns holds 1 MB, pasta 30 MB (Debian 12, measured).
 */
export const uplinks: readonly Uplink[] = [
  {program: 'slirp4netns', nameServer: '10.0.2.3'},
  {program: 'pasta', nameServer: '169.254.1.1'},
];

/**
 * Each program shuts itself off by unmounting all it need not see. As root that would reach the mounts of the host
 * below shared ones, such as the network namespaces of `ip netns` and of engines (slirp4netns 1.2.0, tried).
 */
const ownMounts = process.getuid?.() === 0 ? ['unshare', '--mount', '--propagation', 'slave', '--'] : [];

const timeoutMs = 10_000;
const maxLineBytes = 4_096;

/** Whether the program is here at all; whether it works is seen when it joins a namespace. */
export function probeUplink({program}: Uplink): Promise<ProbeResult> {
  return probeCommand([program, '--version'], {timeoutMs, env: {PATH: programPath}});
}

/**
 * Connects the network namespace of process `pid` and resolves when it is connected. The program goes on without us,
 * with exactly `env`; its words go to the file `logPath`. Null where it does not tell who it is. Throws
 * PROVIDER_UNAVAILABLE where it does not work.
 */
export async function joinUplink(
  {program, nameServer}: Uplink,
  {
    pid,
    env,
    cwd,
    logPath,
  }: {pid: number; env: Readonly<Record<string, string>>; cwd: string; logPath: string},
): Promise<ProcessIdentity | null> {
  if (program === 'pasta') {
    // It goes into the background when it is connected.
    const result = await probeCommand([...ownMounts, 'pasta', ...pastaArguments(pid, nameServer)], {
      timeoutMs,
      env,
    });
    if (!result.works) throw unusable(program, result.reason);
    return null;
  }
  const started = await spawnDetached({
    command: [
      // Its ready descriptor is our pipe; what it says otherwise on stdout is of no use.
      ...['/bin/sh', '-c', 'exec "$@" 3>&1 >/dev/null', 'sh', ...ownMounts, 'slirp4netns', '--ready-fd=3'],
      ...['--configure', '--mtu=65520', '--disable-host-loopback', '--enable-sandbox', '--enable-seccomp'],
      ...[String(pid), 'tap0'],
    ],
    env,
    cwd,
    stderrPath: logPath,
    maxLineBytes,
    // It writes a 1 when the interface has its address and route, and nothing else.
    lineEnd: '1',
  });
  try {
    if ((await started.nextLine()) === null) throw unusable(program, `its words are in ${logPath}`);
    return readProcess(started.pid);
  } finally {
    started.release();
  }
}

function pastaArguments(pid: number, nameServer: string): string[] {
  const isRoot = process.getuid?.() === 0;
  return [
    '--quiet',
    '--config-net',
    // Neither the gateway's address nor any port leads to this host, and none of this host leads in.
    ...['--no-map-gw', '-t', 'none', '-u', 'none', '-T', 'none', '-U', 'none'],
    ...['--dns-forward', nameServer],
    // As root the namespace belongs to no user namespace of its own.
    ...(isRoot ? ['--runas', '0', '--netns', `/proc/${pid}/ns/net`] : [String(pid)]),
  ];
}

function unusable(program: string, reason: string): AppError {
  return new AppError(
    'PROVIDER_UNAVAILABLE',
    `${program} does not connect the container's network: ${reason}`,
  );
}

/** `/etc/resolv.conf` of a namespace: the host's own, with another server to ask. */
export function resolverFile(hostFile: string, {nameServer}: Uplink): string {
  const kept = hostFile.split('\n').filter((line) => /^(?:search|domain|options)\s/.test(line));
  return [`nameserver ${nameServer}`, ...kept, ''].join('\n');
}
