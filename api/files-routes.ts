import {type Context, Hono} from 'hono';
import type {DataFiles, OpenedFile} from '../runtime/storage/data-files.ts';
import type {LineRange} from '../runtime/storage/line-range.ts';
import {AppError} from '../schemas/errors.ts';
import {parseRange} from './byte-range.ts';
import {readOptionalFlag} from './exec-query.ts';
import {readBytes} from './json-body.ts';

const mostListed = 10_000;
/** What is added to a file is held in memory first, so that it goes in at once. */
const maxPartBytes = 16 * 1024 * 1024;

/** Types that no browser runs as a page. */
const contentTypes: Readonly<Record<string, string>> = {
  csv: 'text/csv; charset=utf-8',
  json: 'application/json',
  log: 'text/plain; charset=utf-8',
  md: 'text/plain; charset=utf-8',
  txt: 'text/plain; charset=utf-8',
};

/** The files of the data directory, with paths below `/api/v1/files`. */
export function filesRoutes(files: DataFiles): Hono {
  const app = new Hono();

  app.get('/*', async (c) => {
    refuseHistory(c);
    const path = pathOf(c);
    if (readFlag(c, 'stat')) return c.json(await files.stat(path));
    const wantsList = readOptionalFlag(c.req.query(), 'list') ?? false;
    const opened = wantsList ? 'directory' : await files.open(path);
    if (opened === 'directory') return c.json(await files.list(path, {limit: mostListed}));
    const lines = readLines(c);
    if (lines === null) return fileResponse(c, path, opened);
    const headers = {'content-type': 'text/plain; charset=utf-8', 'x-content-type-options': 'nosniff'};
    return new Response(opened.lines(lines), {headers});
  });

  app.put('/*', async (c) => {
    const path = pathOf(c);
    const written = readFlag(c, 'append')
      ? await files.append(path, await readBytes(c.req.raw, maxPartBytes))
      : await files.write(path, c.req.raw.body ?? noBytes());
    return c.json(written, written.created ? 201 : 200);
  });

  app.patch('/*', async (c) => {
    const path = pathOf(c);
    const position = readPosition(c.req.header('x-update-range'));
    const bytes = await readBytes(c.req.raw, maxPartBytes);
    const written =
      position === null ? await files.append(path, bytes) : await files.overwrite(path, bytes, position);
    return c.json(written, written.created ? 201 : 200);
  });

  app.delete('/*', async (c) => {
    const path = pathOf(c);
    await files.remove(path, {recursive: readOptionalFlag(c.req.query(), 'recursive') ?? false});
    return c.json({path, deleted: true});
  });

  app.post('/*', () => {
    throw new AppError(
      'NOT_IMPLEMENTED',
      'Files are written with PUT and PATCH and removed with DELETE here; a job moves and copies them.',
    );
  });

  return app;
}

/** `?stat` says the same as `?stat=true`. Throws AppError INVALID_QUERY. */
function readFlag(c: Context, name: string): boolean {
  return c.req.query(name) === '' || (readOptionalFlag(c.req.query(), name) ?? false);
}

/** Null where the whole file is wanted. Throws AppError INVALID_QUERY. */
function readLines(c: Context): LineRange | null {
  const text = c.req.query('lines');
  if (text === undefined) return null;
  const [, from, dash, to] = /^(\d{1,12})(?:(-)(\d{1,12})?)?$/.exec(text) ?? [];
  const first = Number(from ?? 0);
  const last = dash === undefined ? first : Number(to ?? Number.MAX_SAFE_INTEGER);
  if (first >= 1 && last >= first) return {first, last};
  throw new AppError(
    'INVALID_QUERY',
    'The query parameter `lines` names lines from 1 on, for example lines=10-50, lines=10- or lines=10.',
  );
}

/** Where a part goes; null for the end. Throws AppError INVALID_QUERY. */
function readPosition(range: string | undefined): number | null {
  if (range === 'append') return null;
  const from = /^bytes=(\d{1,15})-\d{0,15}$/.exec(range ?? '')?.[1];
  if (from !== undefined) return Number(from);
  throw new AppError(
    'INVALID_QUERY',
    'PATCH writes a part of a file. Say where with `X-Update-Range: append`, or `bytes=100-` for byte 100 and on.',
  );
}

/** An answer with the present bytes would be the wrong one. */
function refuseHistory(c: Context): void {
  const asked = ['history', 'revision', 'at', 'diff'].find((name) => c.req.query(name) !== undefined);
  if (asked === undefined) return;
  throw new AppError(
    'NOT_IMPLEMENTED',
    `Former versions of files are not kept here, so there is no \`${asked}\`. Files of the branch have theirs in git.`,
  );
}

function fileResponse(c: Context, path: string, file: OpenedFile): Response {
  const {size, etag, modified} = file;
  const headers = new Headers({
    'accept-ranges': 'bytes',
    'cache-control': 'no-cache',
    'content-type': contentTypes[path.split('.').at(-1)?.toLowerCase() ?? ''] ?? 'application/octet-stream',
    etag,
    'last-modified': modified.toUTCString(),
    'x-content-type-options': 'nosniff',
  });
  if (c.req.header('if-none-match') === etag) return new Response(null, {status: 304, headers});
  const condition = c.req.header('if-range');
  const isSame = condition === undefined || condition === etag;
  try {
    const range = isSame ? parseRange(c.req.header('range') ?? null, size) : null;
    const length = range === null ? size : range.last + 1 - range.first;
    headers.set('content-length', String(length));
    if (range !== null) headers.set('content-range', `bytes ${range.first}-${range.last}/${size}`);
    const body = c.req.method === 'HEAD' || length === 0 ? null : file.body(range);
    return new Response(body, {status: range === null ? 200 : 206, headers});
  } catch (error) {
    if (!(error instanceof AppError && error.code === 'RANGE_NOT_SATISFIABLE')) throw error;
    return Response.json(error.toBody(), {
      status: error.status,
      headers: {'content-range': `bytes */${size}`},
    });
  }
}

/** The path behind `/api/v1/files/`, decoded once. Throws AppError INVALID_QUERY. */
function pathOf(c: Context): string {
  const {pathname} = new URL(c.req.url);
  const encoded = pathname.replace(/^\/api\/v1\/files\/?/, '').replace(/\/$/, '');
  try {
    return decodeURIComponent(encoded);
  } catch (error) {
    throw new AppError(
      'INVALID_QUERY',
      'The path holds a "%" that is not followed by two hex digits of UTF-8. Write it as %25.',
      {cause: error},
    );
  }
}

async function* noBytes(): AsyncGenerator<Uint8Array> {
  // An empty file.
}
