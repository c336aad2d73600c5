import {join, relative} from 'node:path';
import {AppError} from '../../schemas/errors.ts';
import type {
  ClearedLogs,
  FoundLines,
  LogLines,
  LogList,
  LogType,
  ReadLog,
  SearchLogs,
} from '../../schemas/exec-operations.ts';
import type {Clock} from '../platform/clock.ts';
import {kindOf} from '../platform/directories.ts';
import {filesBelow} from '../platform/directory-tree.ts';
import {isErrno} from '../platform/durable-file.ts';
import {readFile, rm, stat} from '../platform/files.ts';
import {searchLines} from '../platform/line-search.ts';
import type {ExecutionLogs} from './execution-logs.ts';
import type {LogFile} from './log-file.ts';

/** The logs of exec: files of `directory`, and what single calls wrote as `executions/<id>/console.log`. */
export interface LogStore {
  list(options: {type: LogType | null; limit: number}): Promise<LogList>;
  /** Throws LOG_NOT_FOUND. */
  read(request: ReadLog): Promise<LogLines>;
  search(request: SearchLogs): Promise<FoundLines>;
  /** The last lines, then with `follow` every new one until the signal aborts. Throws LOG_NOT_FOUND. */
  stream(options: {file: string; follow: boolean; signal: AbortSignal}): Promise<AsyncIterable<string>>;
  clear(which: {file: string} | {type: LogType} | {olderThanDays: number}): Promise<ClearedLogs>;
}

interface LogText {
  readonly name: string;
  readonly text: string;
  readonly size: number;
  readonly modified: Date;
}

type Match = FoundLines['matches'][number];

const pieceLength = 1024 * 1024;
const dayMs = 24 * 3_600_000;
const firstStreamedLines = 100;
const consoleName = /^executions\/([0-9a-f-]{36})\/console\.log$/;

export function createLogStore({
  directory,
  live,
  executions,
  clock,
}: {
  directory: string;
  /** Files that are being written to. */
  live: readonly LogFile[];
  executions: ExecutionLogs;
  clock: Clock;
}): LogStore {
  const flush = () => Promise.all(live.map((file) => file.flush()));

  /** Plain files only: a link would lead elsewhere. */
  async function fileNames(): Promise<string[]> {
    await flush();
    const paths = await filesBelow(directory);
    const kinds = await Promise.all(paths.map(kindOf));
    return paths
      .filter((_, index) => kinds[index] === 'file')
      .map((path) => relative(directory, path))
      .sort();
  }

  async function describe(name: string) {
    const {size, mtime} = await stat(join(directory, name));
    return {name, size, modified: mtime};
  }

  async function textOf(name: string): Promise<LogText> {
    const executionId = consoleName.exec(name)?.[1];
    if (executionId !== undefined) {
      const kept = executions.read(executionId);
      if (kept !== null) return {name, ...kept};
    } else if ((await fileNames()).includes(name)) {
      return {...(await describe(name)), text: await readFile(join(directory, name), 'utf8')};
    }
    throw new AppError('LOG_NOT_FOUND', `No log ${name}. GET /api/v1/exec/logs/list shows all.`);
  }

  async function searchOne(name: string, request: SearchLogs, limit: number): Promise<Match[]> {
    const {regex, caseSensitive} = request;
    if (regex === undefined || consoleName.test(name))
      return searchTexts([{name, text: (await textOf(name)).text}], request, limit);
    const found = await searchLines({path: join(directory, name)}, {regex, caseSensitive, limit});
    return found.map((line) => ({file: name, ...line}));
  }

  /** What calls printed, in pieces of about a megabyte: an expression is looked for by a process of its own. */
  async function* consolePieces(): AsyncGenerator<{name: string; text: string}[]> {
    let piece: {name: string; text: string}[] = [];
    let length = 0;
    for await (const {executionId, text} of executions.texts()) {
      piece.push({name: `executions/${executionId}/console.log`, text});
      length += text.length;
      if (length < pieceLength) continue;
      yield piece;
      piece = [];
      length = 0;
    }
    yield piece;
  }

  function isKeptConsole(name: string): boolean {
    const executionId = consoleName.exec(name)?.[1];
    return executionId !== undefined && executions.read(executionId) !== null;
  }

  return {
    async list({type, limit}) {
      const names = (await fileNames()).filter((name) => type === null || name.startsWith(`${type}/`));
      const files = await Promise.all(names.map(describe));
      const kept = type === null || type === 'executions' ? executions.list(limit) : [];
      const consoles = kept.map(({executionId, size, modified}) => ({
        name: `executions/${executionId}/console.log`,
        size,
        modified,
      }));
      const logs = [...files, ...consoles]
        .toSorted((a, b) => b.modified.getTime() - a.modified.getTime())
        .slice(0, limit)
        .map((log) => ({...log, modified: log.modified.toISOString()}));
      return {logs, count: logs.length};
    },
    async read({file, executionId, lines, tail, search}) {
      const log = await textOf(file ?? `executions/${executionId}/console.log`);
      const all = linesOf(log.text);
      const filtered = search === undefined ? all : all.filter((line) => line.includes(search));
      const shown = tail ? filtered.slice(-lines) : filtered.slice(0, lines);
      return {
        file: log.name,
        totalLines: all.length,
        filteredLines: filtered.length,
        returnedLines: shown.length,
        lines: shown,
        size: log.size,
        modified: log.modified.toISOString(),
      };
    },
    async search(request) {
      const known = await fileNames();
      const {files} = request;
      const consoles = files?.filter((name) => isKeptConsole(name)) ?? [];
      const names =
        files === undefined ? known : [...known.filter((name) => files.includes(name)), ...consoles];
      const matches: Match[] = [];
      // One more than is shown tells whether there are more.
      const left = () => request.limit + 1 - matches.length;
      for (const name of names) if (left() > 0) matches.push(...(await searchOne(name, request, left())));
      if (files === undefined && left() > 0) {
        for await (const piece of consolePieces()) {
          matches.push(...(await searchTexts(piece, request, left())));
          if (left() <= 0) break;
        }
      }
      const shown = matches.slice(0, request.limit);
      return {count: shown.length, truncated: matches.length > shown.length, matches: shown};
    },
    async stream({file, follow, signal}) {
      const source = live.find(({path}) => path === join(directory, file));
      if (follow && source !== undefined) return followed(source, signal);
      return eachOf(linesOf((await textOf(file)).text).slice(-firstStreamedLines));
    },
    async clear(which) {
      if ('type' in which ? which.type === 'executions' : 'file' in which && consoleName.test(which.file))
        throw new AppError(
          'NOT_IMPLEMENTED',
          'What calls printed is kept with their records, which go by age and number. `// @log-retention-days` of a script shortens that.',
        );
      const names = await fileNames();
      const described = await Promise.all(names.map(describe));
      const wanted = described.filter(({name, modified}) => {
        if ('file' in which) return name === which.file;
        if ('type' in which) return name.startsWith(`${which.type}/`);
        return modified.getTime() < clock.now() - which.olderThanDays * dayMs;
      });
      if ('file' in which && wanted.length === 0)
        throw new AppError('LOG_NOT_FOUND', `No log ${which.file}. GET /api/v1/exec/logs/list shows all.`);
      for (const {name} of wanted) await removeIfPresent(join(directory, name));
      return {
        cleared: wanted.length,
        files: wanted.map(({name}) => name),
        freedBytes: wanted.reduce((sum, {size}) => sum + size, 0),
      };
    },
  };
}

/** Throws AppError INVALID_BODY for an expression that is none or takes too long. */
async function searchTexts(
  texts: readonly {name: string; text: string}[],
  {query, regex, caseSensitive}: SearchLogs,
  limit: number,
): Promise<Match[]> {
  const lines = texts.flatMap(({name, text}) =>
    linesOf(text).map((line, index) => ({file: name, line: index + 1, text: line})),
  );
  if (lines.length === 0) return [];
  if (regex !== undefined) {
    const text = lines.map((line) => line.text).join('\n');
    const found = await searchLines({text}, {regex, caseSensitive, limit});
    return found.flatMap(({line}) => lines[line - 1] ?? []);
  }
  const fold = (text: string) => (caseSensitive ? text : text.toLowerCase());
  const wanted = fold(query ?? '');
  return lines.filter(({text}) => fold(text).includes(wanted)).slice(0, limit);
}

function linesOf(text: string): string[] {
  const lines = text.split('\n');
  return lines.at(-1) === '' ? lines.slice(0, -1) : lines;
}

async function* eachOf(lines: readonly string[]): AsyncGenerator<string> {
  yield* lines;
}

/** A reader that is further behind misses the oldest lines. */
const mostWaitingLines = 10_000;

async function* followed(source: LogFile, signal: AbortSignal): AsyncGenerator<string> {
  const waiting: string[] = [];
  let wake = Promise.withResolvers<void>();
  const onAbort = () => wake.resolve();
  const {text, unsubscribe} = await source.follow((line) => {
    if (waiting.push(line) > mostWaitingLines) waiting.shift();
    wake.resolve();
  });
  signal.addEventListener('abort', onAbort, {once: true});
  try {
    yield* linesOf(text).slice(-firstStreamedLines);
    while (!signal.aborted) {
      wake = Promise.withResolvers<void>();
      while (waiting.length > 0) yield waiting.shift() ?? '';
      if (!signal.aborted) await wake.promise;
    }
  } finally {
    unsubscribe();
    signal.removeEventListener('abort', onAbort);
  }
}

async function removeIfPresent(path: string): Promise<void> {
  try {
    await rm(path);
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error;
  }
}
