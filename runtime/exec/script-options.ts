import type {TextIssue} from '../../schemas/issue.ts';
import {listMagicComments, type MagicComment} from './magic-comments.ts';

export type LogLevel = 'none' | 'minimal' | 'standard' | 'full' | 'debug';
export type BodyLogging = 'off' | 'redacted' | 'full';

export interface CorsOptions {
  /** `reflective` names the caller's own origin; `none` sends no header at all. */
  readonly origin: 'reflective' | 'none' | string;
  readonly credentials: boolean;
  readonly methods: string;
  /** Null allows what the preflight asks for. */
  readonly headers: string | null;
  readonly maxAgeSeconds: number;
}

export interface LogOptions {
  readonly level: LogLevel;
  readonly requestBody: BodyLogging;
  readonly responseBody: BodyLogging;
  readonly maxBodyBytes: number;
  /** Lower case. */
  readonly excludedHeaders: readonly string[];
  /** Null for what holds for all scripts. */
  readonly retentionDays: number | null;
}

/** What the magic comments of a script say. */
export interface ScriptOptions {
  readonly enabled: boolean;
  /** Null for no limit. */
  readonly timeoutMs: number | null;
  /** A caller must present one of them; empty for everybody. */
  readonly tokens: readonly string[];
  /** Calls at the same time; null for no limit. */
  readonly concurrency: number | null;
  readonly isolated: boolean;
  readonly websocket: boolean;
  /** The directory's `pre` is asked before a websocket is opened. */
  readonly websocketPre: boolean;
  readonly mode: 'serverless' | 'worker';
  readonly rawBody: boolean;
  readonly awaitsPromises: boolean;
  readonly cors: CorsOptions;
  readonly log: LogOptions;
}

const defaultTimeoutMs = 30 * 60_000;
const methodsOfCors = 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS';

export const defaultOptions: ScriptOptions = {
  enabled: true,
  timeoutMs: defaultTimeoutMs,
  tokens: [],
  concurrency: null,
  isolated: false,
  websocket: false,
  websocketPre: false,
  mode: 'serverless',
  rawBody: false,
  awaitsPromises: true,
  cors: {
    origin: 'reflective',
    credentials: true,
    methods: methodsOfCors,
    headers: null,
    maxAgeSeconds: 600,
  },
  log: {
    level: 'standard',
    requestBody: 'off',
    responseBody: 'off',
    maxBodyBytes: 4096,
    excludedHeaders: ['authorization', 'cookie', 'set-cookie', 'x-token'],
    retentionDays: null,
  },
};

/** A value that a comment cannot have; `expected` completes "write ...". */
class BadValue {
  readonly expected: string;
  constructor(expected: string) {
    this.expected = expected;
  }
}

type Reader = (options: ScriptOptions, value: string) => ScriptOptions | BadValue;

const readers: Readonly<Record<string, Reader>> = {
  enabled: (options, value) => withFlag(value, (enabled) => ({...options, enabled})),
  timeout: (options, value) => {
    if (value === '0' || value === 'unlimited') return {...options, timeoutMs: null};
    return withCount(value, (timeoutMs) => ({...options, timeoutMs}));
  },
  token: (options, value) =>
    /^\S+$/.test(value) ? {...options, tokens: [...options.tokens, value]} : new BadValue('one word'),
  concurrent: (options, value) => {
    if (value === 'true' || value === 'false') return {...options, concurrency: value === 'true' ? null : 1};
    return withCount(value, (concurrency) => ({...options, concurrency}));
  },
  isolate: (options, value) => (value === 'process' ? {...options, isolated: true} : new BadValue('process')),
  websocket: (options, value) => withFlag(value, (websocket) => ({...options, websocket})),
  'websocket-pre': (options, value) => withFlag(value, (websocketPre) => ({...options, websocketPre})),
  mode: (options, value) =>
    value === 'serverless' || value === 'worker'
      ? {...options, mode: value}
      : new BadValue('serverless or worker'),
  rawBody: (options, value) => withFlag(value, (rawBody) => ({...options, rawBody})),
  'await-promises': (options, value) => withFlag(value, (awaitsPromises) => ({...options, awaitsPromises})),
  cors: (options, value) =>
    /^(?:reflective|none|\*|https?:\/\/[^\s/]+)$/.test(value)
      ? {...options, cors: {...options.cors, origin: value}}
      : new BadValue('reflective, none, * or an origin such as https://example.org'),
  'cors-credentials': (options, value) =>
    withFlag(value, (credentials) => ({...options, cors: {...options.cors, credentials}})),
  'cors-methods': (options, value) =>
    withList(value, (methods) => ({...options, cors: {...options.cors, methods: methods.toUpperCase()}})),
  'cors-headers': (options, value) =>
    withList(value, (headers) => ({...options, cors: {...options.cors, headers}})),
  'cors-max-age': (options, value) =>
    withCount(value, (maxAgeSeconds) => ({...options, cors: {...options.cors, maxAgeSeconds}})),
  'log-level': (options, value) => {
    const level = oneOf(value, ['none', 'minimal', 'standard', 'full', 'debug']);
    return level instanceof BadValue ? level : withLog(options, {level});
  },
  debug: (options, value) =>
    withFlag(value, (debug) => (debug ? withLog(options, {level: 'debug'}) : options)),
  'log-request-body': (options, value) => {
    const requestBody = oneOf(value, ['off', 'redacted', 'full']);
    return requestBody instanceof BadValue ? requestBody : withLog(options, {requestBody});
  },
  'log-response-body': (options, value) => {
    const responseBody = oneOf(value, ['off', 'redacted', 'full']);
    return responseBody instanceof BadValue ? responseBody : withLog(options, {responseBody});
  },
  'log-max-body-size': (options, value) =>
    withCount(value, (maxBodyBytes) => withLog(options, {maxBodyBytes: Math.min(maxBodyBytes, 65_536)})),
  'log-exclude-headers': (options, value) =>
    withList(value, (list) =>
      withLog(options, {
        excludedHeaders: [...defaultOptions.log.excludedHeaders, ...list.toLowerCase().split(', ')],
      }),
    ),
  'log-retention-days': (options, value) =>
    withCount(value, (retentionDays) => withLog(options, {retentionDays})),
};

/** A bad value counts as absent; unknown names are for others. */
export function readScriptOptions(comments: readonly MagicComment[] | string): ScriptOptions {
  const list = typeof comments === 'string' ? listMagicComments(comments) : comments;
  return list.reduce((options, {name, value}) => {
    const next = readers[name]?.(options, value) ?? options;
    return next instanceof BadValue ? options : next;
  }, defaultOptions);
}

/** Values that were left out of account. */
export function commentWarnings(comments: readonly MagicComment[]): TextIssue[] {
  return comments.flatMap(({name, value, line, column}) => {
    const read = readers[name]?.(defaultOptions, value);
    if (!(read instanceof BadValue)) return [];
    const message = `\`@${name} ${value}\` is left out of account: write ${read.expected}.`;
    return [{line, column, code: 'comment_value', message}];
  });
}

function withLog(options: ScriptOptions, log: Partial<LogOptions>): ScriptOptions {
  return {...options, log: {...options.log, ...log}};
}

/** A flag without a value is set. */
function withFlag(value: string, then: (flag: boolean) => ScriptOptions): ScriptOptions | BadValue {
  if (value === '' || value === 'true') return then(true);
  return value === 'false' ? then(false) : new BadValue('true or false');
}

function withCount(value: string, then: (count: number) => ScriptOptions): ScriptOptions | BadValue {
  const count = Number(value);
  return /^\d+$/.test(value) && Number.isSafeInteger(count) && count > 0
    ? then(count)
    : new BadValue('a whole number above 0');
}

function withList(value: string, then: (list: string) => ScriptOptions): ScriptOptions | BadValue {
  const names = value.split(/[\s,]+/).filter((name) => name !== '');
  const isList = names.length > 0 && names.every((name) => /^[A-Za-z0-9_*-]+$/.test(name));
  return isList ? then(names.join(', ')) : new BadValue('names with commas between');
}

function oneOf<const T extends string>(value: string, allowed: readonly T[]): T | BadValue {
  return allowed.find((candidate) => candidate === value) ?? new BadValue(allowed.join(', '));
}
