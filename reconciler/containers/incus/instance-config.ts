import type {ContainerRecord} from '../container-record.ts';
import {
  commandInside,
  domainNames,
  inside,
  kitNames,
  placesInside,
  type RuntimeProgram,
  runtimeArguments,
  runtimeEnvironment,
  secureArguments,
} from '../inside.ts';
import {labelNames, type ResourceLimits} from '../provider.ts';
import type {Instance, Settings} from './incus.ts';
import type {NetworkAddress} from './network-address.ts';

export const ownerKey = 'user.branchtab.owner';
const idKey = 'user.branchtab.id';
const snapshotKey = 'user.branchtab.snapshot';
const nameKey = 'user.branchtab.name';

/** Names of devices of an instance. */
export const runDevice = 'branchtab-run';
export const runtimeDevice = 'branchtab-runtime';

/** Our id of a container; null for a snapshot. */
export function containerIdOf({config}: Instance): string | null {
  return config[idKey] || null;
}

/** Name that all instances of one snapshot have in common; null for a container. */
export function snapshotOf({config}: Instance): string | null {
  return config[snapshotKey] || null;
}

/** At most 63 characters of a host name, as the server asks for. */
export function instanceName({name, id}: Pick<ContainerRecord, 'name' | 'id'>): string {
  return `bt-${name}-${id.slice(0, 8)}`;
}

/** The two instances of a snapshot: with its data directory, and with an empty one. */
export function snapshotInstances(snapshot: string): {readonly data: string; readonly empty: string} {
  return {data: `bt-snapshot-${snapshot}-data`, empty: `bt-snapshot-${snapshot}-empty`};
}

/** What holds for everything that we make in a server. */
const common: Settings = {
  // The controller starts again what died: it alone knows whether it is still wanted.
  'boot.autostart': 'false',
  'security.privileged': 'false',
  // Jobs would read in it what the server has written down of their container.
  'security.devlxd': 'false',
};

export function containerConfig(owner: string, record: ContainerRecord): Settings {
  return {
    ...common,
    [ownerKey]: owner,
    [idKey]: record.id,
    [snapshotKey]: '',
    [nameKey]: record.name,
    ...told(record.labels),
  };
}

/** What people look for in the server; a snapshot would have that of its container. */
function told(labels: ContainerRecord['labels']): Settings {
  const all = [labelNames.repository, labelNames.path, labelNames.branch];
  return Object.fromEntries(all.map((key) => [`user.${key}`, labels[key] ?? '']));
}

export function snapshotConfig(owner: string, snapshot: string): Settings {
  return {
    ...common,
    [ownerKey]: owner,
    [idKey]: '',
    [snapshotKey]: snapshot,
    [nameKey]: '',
    ...told({}),
    ...firstProgram('while :; do sleep 60; done'),
  };
}

/** Limits of all processes together; without swap, since what is swapped out is no smaller. */
export function limitsConfig({cpus, memoryBytes}: ResourceLimits): Settings {
  const periodMs = 100;
  return {
    'limits.cpu.allowance':
      cpus === null ? '' : `${Math.max(1, Math.round(cpus * periodMs))}ms/${periodMs}ms`,
    'limits.memory': memoryBytes === null ? '' : String(memoryBytes),
    'limits.memory.swap': memoryBytes === null ? '' : 'false',
  };
}

/** What the runtime says last where it ended before anybody could talk to it. */
export const endedMark = 'branchtab: the runtime ended';

/** The instance's first program: it starts the runtime, passes signals on, and reaps what jobs leave behind. */
export function runtimeConfig(
  record: ContainerRecord,
  program: RuntimeProgram,
  {address, domain}: {address: NetworkAddress | null; domain: string | undefined},
): Settings {
  const command = [
    ...commandInside(program),
    ...runtimeArguments(record, placesInside, '127.0.0.1', domain),
    ...secureArguments('127.0.0.1', domain),
    ...['--boot', record.boot_mark],
  ];
  const script = [
    `mkdir -p -m 700 ${inside.store}; mkdir -p ${inside.run}; rm -f ${placesInside.runtimeSocket}`,
    ...namesOfDomain(domain),
    `cd ${inside.store}`,
    `unset ${startVariable} SHLVL OLDPWD`,
    "trap 'kill -TERM $runtime' TERM",
    `${command.map(quoted).join(' ')} & runtime=$!`,
    'while kill -0 $runtime 2>/dev/null; do wait $runtime; done',
    // The server takes ten seconds for a start whose first program ends before the start does.
    `test -S ${placesInside.runtimeSocket} || { echo; echo ${endedMark}; sleep 1; }`,
  ].join('; ');
  const environment = Object.entries(runtimeEnvironment(record)).map(
    ([name, value]) => [`environment.${name}`, value] as const,
  );
  return {...firstProgram(script, address), ...Object.fromEntries(environment)};
}

const startVariable = 'BRANCHTAB_START';

function firstProgram(script: string, address: NetworkAddress | null = null): Settings {
  const network =
    address === null
      ? []
      : [
          `lxc.net.0.ipv4.address = ${address.address}/${address.prefixLength}`,
          `lxc.net.0.ipv4.gateway = ${address.gateway}`,
        ];
  return {
    [`environment.${startVariable}`]: script,
    'raw.lxc': [
      // Words are separated by blanks and quotes are not taken for such, so that the shell finds its text elsewhere.
      `lxc.init.cmd = /bin/sh -c eval\${IFS}$${startVariable}`,
      // Usually the init of a distribution does it. What stands behind the hash are the hook's own arguments.
      'lxc.hook.start-host = nsenter --net=/proc/$LXC_PID/ns/net ip link set lo up #',
      // As there is nobody inside to ask for an address.
      ...network,
    ].join('\n'),
  };
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}

/** Empties what a snapshot is to leave out. */
export const cleaning = {
  run: `cd ${inside.store} 2>/dev/null && for each in * .[!.]*; do test "$each" = workspace.json || rm -rf "./$each"; done; rm -rf ${inside.run} /tmp/* /tmp/.[!.]*; true`,
  data: `rm -rf ${inside.data} && mkdir -m 755 ${inside.data}`,
} as const;

export function hostsFile(domain: string | undefined): string {
  return `127.0.0.1 localhost ${kitNames(domain).join(' ')}\n::1 ip6-localhost ip6-loopback\n`;
}

/** For an instance that was made, or its snapshot, when there was another domain or none. */
function namesOfDomain(domain: string | undefined): string[] {
  const names = domainNames(domain).join(' ');
  return names === '' ? [] : [`grep -qF ${quoted(names)} /etc/hosts || echo 127.0.0.1 ${names} >>/etc/hosts`];
}

/** Id on the server's machine of the instance's root; 0 where it has no ids of its own. */
export function rootOutside({config}: Instance, parse: (text: string) => unknown): number {
  const map = parse(config['volatile.idmap.next'] ?? '[]');
  if (!Array.isArray(map)) return 0;
  for (const range of map as readonly unknown[]) {
    if (typeof range !== 'object' || range === null) continue;
    const {Isuid, Nsid, Hostid} = range as Readonly<Record<string, unknown>>;
    if (Isuid === true && Nsid === 0 && typeof Hostid === 'number') return Hostid;
  }
  return 0;
}
