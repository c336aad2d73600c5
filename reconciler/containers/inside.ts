import {join, relative} from 'node:path';
import * as z from 'zod';
import type {ContainerRecord} from './container-record.ts';
import {parseJson} from './parse-json.ts';

/** What every container looks like from inside, whoever provides it. */
export const inside = {
  data: '/data',
  workspace: '/srv',
  store: '/var/lib/branchtab',
  run: '/run/branchtab',
  runtimeDirectory: '/run/branchtab-runtime',
} as const;

/** Kits that a container's own processes reach by name. */
const namedKits = ['cron', 'exec', 'pipe', 'notifications'] as const;

/** Names that lead to the container's own runtime; with a domain `<kit>.<domain>` too. */
export function kitNames(domain: string | undefined): string[] {
  return [...namedKits.map((kit) => `hoody-${kit}`), ...domainNames(domain)];
}

/** None without a domain. */
export function domainNames(domain: string | undefined): string[] {
  return domain === undefined ? [] : namedKits.map((kit) => `${kit}.${domain}`);
}

/** What a cron daemon needs to start jobs as other users and to listen on port 80; nothing else. */
export const capabilities = [
  'SETUID',
  'SETGID',
  'CHOWN',
  'DAC_OVERRIDE',
  'FOWNER',
  'KILL',
  'NET_BIND_SERVICE',
] as const;

/** Where programs are looked for, inside and outside a container. */
export const programPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Variable that every process of a container is started with. */
export const markerName = 'BRANCHTAB_CONTAINER';

/** The program that is started in every container: a command whose words may name files of `directory`. */
export interface RuntimeProgram {
  readonly command: readonly string[];
  readonly directory: string;
}

/** The program's command as it is spelt where its directory is mounted inside a container. */
export function commandInside({command, directory}: RuntimeProgram): string[] {
  return command.map((word) =>
    word.startsWith(`${directory}/`) ? join(inside.runtimeDirectory, relative(directory, word)) : word,
  );
}

/** How the engine of a runtime deals with memory: dozens of them share one machine and wait most of the time. */
export const engineSettings = {
  // Compiled code is given back soon after its last use: 3 MB less in every idle runtime, measured.
  BUN_JSC_useEagerCodeBlockJettisonTiming: '1',
  // It collects as on a machine of 2 MB, so the few objects that stay lie closer together: 1 MB less, measured.
  BUN_JSC_forceRAMSize: String(2 * 1024 * 1024),
};

/** The environment of a runtime. */
export function runtimeEnvironment({id, time_zone}: ContainerRecord): Record<string, string> {
  return {
    PATH: programPath,
    LANG: 'C.UTF-8',
    TZ: time_zone,
    ...engineSettings,
    [markerName]: id,
  };
}

/** Where a runtime has its files, as it sees them itself. */
export interface RuntimePlaces {
  readonly store: string;
  readonly data: string;
  readonly workspace: string;
  readonly runtimeSocket: string;
}

export const placesInside: RuntimePlaces = {
  store: inside.store,
  data: inside.data,
  workspace: inside.workspace,
  runtimeSocket: `${inside.run}/control.sock`,
};

/** What follows the program's command; `address` is that of the kits, `domain` as of `kitNames`. */
export function runtimeArguments(
  {id, time_zone}: ContainerRecord,
  places: RuntimePlaces,
  address: string,
  domain: string | undefined,
): string[] {
  return [
    'runtime',
    ...['--data', places.store],
    ...['--home', places.data],
    ...['--workspace', places.workspace],
    ...['--control', `unix:${places.runtimeSocket}`],
    ...['--listen', `${address}:80`],
    '--fallback-port',
    ...['--tz', time_zone],
    ...['--container', id],
    ...domainNames(domain).flatMap((name) => ['--allow-host', name]),
  ];
}

/** HTTPS for the same names. Only for a container with a file system of its own: its programs are made to trust it. */
export function secureArguments(address: string, domain: string | undefined): string[] {
  return domain === undefined ? [] : ['--secure-listen', `${address}:443`];
}

/** The one line that a runtime writes to stdout, when it answers on all its sockets. */
const readySchema = z.object({
  ready: z.literal(true),
  pid: z.int().min(1).meta({description: 'As the runtime sees itself, in its own pid namespace.'}),
  kit_url: z.url().max(200),
  runtime_version: z.string().min(1).max(100),
});

export interface ReadyRuntime {
  readonly pid: number;
  readonly kitUrl: string;
  readonly runtimeVersion: string;
}

/** Null for what is no ready line. */
export function parseReadyLine(line: string): ReadyRuntime | null {
  const {success, data} = readySchema.safeParse(parseJson(line));
  if (!success) return null;
  return {pid: data.pid, kitUrl: data.kit_url.replace(/\/$/, ''), runtimeVersion: data.runtime_version};
}

/** A longer first line is none. */
export const maxReadyLineBytes = 65_536;
