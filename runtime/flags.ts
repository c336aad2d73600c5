import {resolve} from 'node:path';
import {parseArgs} from 'node:util';
import {AppError} from '../schemas/errors.ts';
import {isTimeZone} from '../schemas/schedule/zone.ts';
import {type ListenAddress, parseListenAddress} from './platform/listen-address.ts';

export const runtimeUsage = `usage: branchtab runtime --data <dir> --listen <host:port | unix:path>
  --home <dir>         working directory and HOME of jobs and scripts (default: <data>/home)
  --workspace <dir>    where the branch's tree is (default: <data>/workspace)
  --pipe-listen <host:port>  an address of the pipe service alone, the fastest way for large transfers
  --control unix:<path>  socket of a controller; without it the schedule runs at once
  --fallback-port      take another port of the same address when this one may not be bound
  --tz <zone>          IANA time zone of schedules (default: UTC)
  --container <id>     marks every process that is started
  --boot <id>          @reboot jobs run when this differs from the last start (default: every start);
                       one that begins with paused- lets no job start until the controller says so
  --boot-file <path>   the same, the id being what the file holds
  --user <name>        a further user with a crontab; may be repeated
  --allow-host <name>  a further name to answer to; may be repeated
  --secure-listen <host:port>  HTTPS for the names of --allow-host, with an authority of the container's own that
                       the programs of its file system are made to trust; only with --control
  --exec-idle-ms <ms>  the script host ends after so long without calls, 0 for never (default: 300000)
  --exec-warm          start the script host with each deployment, not with its first call
  --exec-memory-mb <n> a script host that takes more memory is ended (default: 1024)
  --smtp-url <url>     sends the output of jobs to MAILTO, for example smtp://mail.example:587; jobs can read it
  --grace-ms <ms>      how long jobs may go on after SIGTERM (default: 30000)`;

export interface RuntimeFlags {
  readonly data: string;
  readonly home: string;
  readonly workspace: string;
  readonly listen: ListenAddress;
  readonly fallbackPort: boolean;
  readonly pipeListen: ListenAddress | null;
  /** Path of the controller's socket, or null when a person runs the runtime alone. */
  readonly controlSocket: string | null;
  readonly timeZone: string;
  readonly container: string | null;
  readonly boot: string | null;
  /** File that holds what `boot` is otherwise. */
  readonly bootFile: string | null;
  readonly users: readonly string[];
  readonly allowedHosts: readonly string[];
  /** HTTPS for `allowedHosts`; null for none. */
  readonly secureListen: ListenAddress | null;
  readonly smtpUrl: string | null;
  /** Null for never. */
  readonly execIdleMs: number | null;
  readonly execWarm: boolean;
  readonly execMemoryBytes: number;
  readonly graceMs: number;
}

/** Throws AppError CONFIG_INVALID. */
export function parseRuntimeFlags(args: readonly string[]): RuntimeFlags {
  const values = parseValues(args);
  const {data, listen, control, tz = 'UTC'} = values;
  if (data === undefined || listen === undefined) throw invalid('--data and --listen are needed.');
  const controlAddress = control === undefined ? null : parseListenAddress(control);
  if (controlAddress?.kind === 'tcp')
    throw invalid('--control takes a unix socket: who reaches it may do everything.');
  const secureListen = values['secure-listen'];
  // A person's own machine is not to trust it.
  if (secureListen !== undefined && controlAddress === null)
    throw invalid('--secure-listen is for containers: it needs --control.');
  // The common answer first: asking for zones costs a process 2 MB.
  if (tz !== 'UTC' && !isTimeZone(tz))
    throw invalid(`--tz ${tz} is no time zone. Write an IANA name such as Europe/Berlin.`);
  const execIdleMs = readWhole('exec-idle-ms', values['exec-idle-ms'] ?? '300000');
  const execMemoryMegabytes = readWhole('exec-memory-mb', values['exec-memory-mb'] ?? '1024');
  return {
    data: resolve(data),
    home: resolve(values.home ?? `${data}/home`),
    workspace: resolve(values.workspace ?? `${data}/workspace`),
    listen: parseListenAddress(listen),
    fallbackPort: values['fallback-port'] ?? false,
    pipeListen: values['pipe-listen'] === undefined ? null : parseListenAddress(values['pipe-listen']),
    controlSocket: controlAddress === null ? null : resolve(controlAddress.path),
    timeZone: tz,
    container: values.container ?? null,
    boot: values.boot ?? null,
    bootFile: values['boot-file'] ?? null,
    users: values.user ?? [],
    allowedHosts: values['allow-host'] ?? [],
    secureListen: secureListen === undefined ? null : parseListenAddress(secureListen),
    smtpUrl: checkSmtpUrl(values['smtp-url']),
    graceMs: readWhole('grace-ms', values['grace-ms'] ?? '30000'),
    execIdleMs: execIdleMs === 0 ? null : execIdleMs,
    execWarm: values['exec-warm'] ?? false,
    execMemoryBytes: execMemoryMegabytes * 1024 * 1024,
  };
}

function readWhole(flag: string, text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(value)) return value;
  throw invalid(`--${flag} takes a whole number.`);
}

/** The message leaves the value out: it may hold a password. */
function checkSmtpUrl(text: string | undefined): string | null {
  if (text === undefined) return null;
  if (isSmtpUrl(text)) return text;
  throw invalid('--smtp-url is smtp://[user:password@]host[:port], or the same with smtps://.');
}

export function isSmtpUrl(text: string): boolean {
  const url = URL.canParse(text) ? new URL(text) : null;
  return url !== null && /^smtps?:$/.test(url.protocol) && url.hostname !== '';
}

function parseValues(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        data: {type: 'string'},
        home: {type: 'string'},
        workspace: {type: 'string'},
        listen: {type: 'string'},
        'fallback-port': {type: 'boolean'},
        'pipe-listen': {type: 'string'},
        control: {type: 'string'},
        tz: {type: 'string'},
        container: {type: 'string'},
        boot: {type: 'string'},
        'boot-file': {type: 'string'},
        user: {type: 'string', multiple: true},
        'allow-host': {type: 'string', multiple: true},
        'secure-listen': {type: 'string'},
        'smtp-url': {type: 'string'},
        'grace-ms': {type: 'string'},
        'exec-idle-ms': {type: 'string'},
        'exec-warm': {type: 'boolean'},
        'exec-memory-mb': {type: 'string'},
      },
    }).values;
  } catch (error) {
    throw invalid(error instanceof Error ? error.message : String(error), error);
  }
}

function invalid(message: string, cause?: unknown): AppError {
  return new AppError('CONFIG_INVALID', `${message}\n${runtimeUsage}`, {cause});
}
