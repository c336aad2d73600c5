import {kindOf, linkTarget} from '../../../runtime/platform/directories.ts';
import {type ProbeResult, probeCommand} from '../../../runtime/platform/probe-command.ts';
import {capabilities, inside, kitNames, programPath} from '../inside.ts';
import type {Uplink} from './uplink.ts';

/** A sandbox this host can make: the first words of its bubblewrap command, up to the container's own part. */
export interface Sandbox {
  readonly skeleton: readonly string[];
  /** What connects its network namespace; null where the host's network is shared. */
  readonly uplink: Uplink | null;
}

export interface SandboxMounts {
  readonly data: string;
  readonly workspace: string;
  readonly store: string;
  readonly run: string;
  readonly hosts: string;
  readonly resolver: string;
  /** What stands in the place of the host's bundle, since the runtime adds to it; null leaves the host's. */
  readonly bundle: {readonly source: string; readonly target: string} | null;
  readonly runtimeDirectory: string;
  readonly hostName: string;
  readonly env: Readonly<Record<string, string>>;
}

/** Files that programs need to find names, certificates, libraries and zones. Never all of /etc: it holds secrets. */
const etcFiles = [
  'alternatives',
  'bash.bashrc',
  'ca-certificates',
  'ca-certificates.conf',
  'crypto-policies',
  'debian_version',
  'fonts',
  'gai.conf',
  'group',
  'host.conf',
  'inputrc',
  'ld.so.cache',
  'ld.so.conf',
  'ld.so.conf.d',
  'locale.alias',
  'locale.conf',
  'localtime',
  'mime.types',
  'nsswitch.conf',
  'os-release',
  'passwd',
  'pki/ca-trust',
  'pki/tls/cert.pem',
  'pki/tls/certs',
  'protocols',
  'resolv.conf',
  'services',
  'ssl/cert.pem',
  'ssl/certs',
  'ssl/openssl.cnf',
  'timezone',
];

/**
 * Settings of the kernel that root may write without any capability; `kernel.core_pattern` alone would be a
 * way out. Bubblewrap covers some of them, but not /proc/sys.
 */
const kernelSettings = ['/proc/sys', '/proc/sysrq-trigger', '/proc/fs', '/proc/acpi', '/proc/scsi'];

/** Trees of the host that are seen inside, read-only. */
const sharedTrees = ['/usr', '/opt', '/nix/store'];
const usuallyLinks = ['/bin', '/lib', '/lib32', '/lib64', '/libx32', '/sbin'];

const probeTimeoutMs = 5_000;

/**
 * Finds out which sandbox works here, by running `true` in it: as it is for root, with a user namespace
 * otherwise. `stateDirectory` (without links) stays hidden also where it lies in a shared tree.
 */
export async function findSandbox(stateDirectory: string): Promise<{sandbox: Sandbox} | {reason: string}> {
  const root = await rootArguments(stateDirectory);
  const variants = process.getuid?.() === 0 ? [[], userNamespace] : [userNamespace];
  const reasons: string[] = [];
  for (const variant of variants) {
    const skeleton = ['bwrap', ...variant, ...namespaces, ...root];
    const result: ProbeResult = await probeCommand([...skeleton, '--', 'true'], {
      timeoutMs: probeTimeoutMs,
      env: {PATH: programPath},
    });
    if (result.works) return {sandbox: {skeleton, uplink: null}};
    reasons.push(result.reason);
  }
  return {reason: reasons.join('; ')};
}

const userNamespace = ['--unshare-user', '--uid', '0', '--gid', '0'];

const namespaces = [
  '--unshare-pid',
  '--unshare-ipc',
  '--unshare-uts',
  '--new-session',
  '--clearenv',
  ...['--cap-drop', 'ALL'],
  ...capabilities.flatMap((name) => ['--cap-add', `CAP_${name}`]),
];

/** The file system without anything of one container. Built on a tmpfs, so that any mount point can be made. */
async function rootArguments(stateDirectory: string): Promise<string[]> {
  const args = ['--perms', '0755', '--tmpfs', '/', '--dev', '/dev', '--proc', '/proc'];
  for (const path of kernelSettings) args.push('--ro-bind-try', path, path);
  args.push('--perms', '1777', '--tmpfs', '/tmp');
  for (const path of ['/etc', '/etc/pki', '/etc/pki/tls', '/etc/ssl', '/run', '/var', '/var/lib']) {
    args.push('--perms', '0755', '--dir', path);
  }
  args.push('--perms', '1777', '--dir', '/var/tmp', '--symlink', '/run', '/var/run');
  for (const path of sharedTrees) {
    args.push('--ro-bind-try', path, path);
    if (stateDirectory.startsWith(`${path}/`)) args.push('--perms', '0700', '--tmpfs', stateDirectory);
  }
  for (const path of usuallyLinks) {
    const kind = await kindOf(path);
    if (kind === 'link') args.push('--symlink', await linkTarget(path), path);
    if (kind === 'directory') args.push('--ro-bind', path, path);
  }
  for (const name of etcFiles) args.push('--ro-bind-try', `/etc/${name}`, `/etc/${name}`);
  return args;
}

/** The command that runs `command`, which names paths inside, in a sandbox with this container's files. */
export function sandboxCommand(
  sandbox: Sandbox,
  mounts: SandboxMounts,
  command: readonly string[],
): string[] {
  return [
    ...sandbox.skeleton,
    ...(sandbox.uplink === null ? [] : ['--unshare-net', '--ro-bind', mounts.resolver, '/etc/resolv.conf']),
    ...['--hostname', mounts.hostName],
    ...['--ro-bind', mounts.hosts, '/etc/hosts'],
    ...(mounts.bundle === null ? [] : ['--bind', mounts.bundle.source, mounts.bundle.target]),
    ...['--bind', mounts.data, inside.data],
    ...['--bind', mounts.workspace, inside.workspace],
    ...['--bind', mounts.store, inside.store],
    ...['--bind', mounts.run, inside.run],
    ...['--ro-bind', mounts.runtimeDirectory, inside.runtimeDirectory],
    ...['--chdir', inside.store],
    ...Object.entries(mounts.env).flatMap(([name, value]) => ['--setenv', name, value]),
    '--',
    ...(sandbox.uplink === null ? command : gated(command)),
  ];
}

/** Writes a line when the namespaces are made, and becomes `command` when a line says that the network is connected. */
export function gated(command: readonly string[]): string[] {
  return ['/bin/sh', '-c', 'echo; read -r word && exec "$@" </dev/null', 'sh', ...command];
}

/** Address of the kits in a network namespace of their own. */
export const ownLoopback = '127.0.0.1';

/** `/etc/hosts` of a sandbox: the kits' names lead to the container's own address. */
export function hostsFile({
  address,
  hostName,
  domain,
}: {
  address: string;
  hostName: string;
  domain: string | undefined;
}): string {
  const names = `${address} ${kitNames(domain).join(' ')} ${hostName}`;
  // The kits listen on IPv4 alone: where `localhost` is theirs, it has no other address.
  return address === ownLoopback
    ? ['127.0.0.1 localhost', names, '::1 ip6-localhost ip6-loopback', ''].join('\n')
    : ['127.0.0.1 localhost', '::1 localhost ip6-localhost ip6-loopback', names, ''].join('\n');
}
