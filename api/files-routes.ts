import {type Context, Hono} from 'hono';
import type {DataFiles, OpenedFile} from '../runtime/storage/data-files.ts';
import {AppError} from '../schemas/errors.ts';
import {parseRange} from './byte-range.ts';
import {readOptionalFlag} from './exec-query.ts';

const mostListed = 10_000;

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
    const path = pathOf(c);
    const wantsList = readOptionalFlag(c.req.query(), 'list') ?? false;
    const opened = wantsList ? 'directory' : await files.open(path);
    if (opened === 'directory') return c.json(await files.list(path, {limit: mostListed}));
    return fileResponse(c, path, opened);
  });

  app.put('/*', async (c) => {
    const written = await files.write(pathOf(c), c.req.raw.body ?? noBytes());
    return c.json(written, written.created ? 201 : 200);
  });

  app.delete('/*', async (c) => {
    const path = pathOf(c);
    await files.remove(path, {recursive: readOptionalFlag(c.req.query(), 'recursive') ?? false});
    return c.json({path, deleted: true});
  });

  return app;
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
