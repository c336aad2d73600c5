import {type Context, Hono} from 'hono';
import {bodyLimit} from 'hono/body-limit';
import type {CronService, TaggedCrontab} from '../runtime/cron/service.ts';
import {AppError} from '../schemas/errors.ts';
import {readFlag, readManaged, readNextCount, readPage, readPreview, readRunQuery} from './cron-query.ts';
import {cronRunRoutes} from './cron-run-routes.ts';
import {refuseOneUser, userOf} from './cron-user.ts';

/** JSON may write one byte of a crontab as six. The service limits the text itself. */
const maxCrontabBodyBytes = 6 * 256 * 1024 + 1024;
const maxEntryBodyBytes = 64 * 1024;

const prometheusText = 'text/plain; version=0.0.4; charset=utf-8';

/** Loaded with the first body that is read: most containers wait for hours, and shapes take room. */
const shapes = () => import('../schemas/cron-api.ts');

/**
 * The routes of the cron kit, without prefix. `lists` chooses what a list of entries looks like: the envelope of
 * the public API, or the bare array with `X-Total-Count` and `Link` that its documents show.
 */
export function cronRoutes(cron: CronService, {lists}: {lists: 'envelope' | 'array'}): Hono {
  const app = new Hono();

  app.get('/crontab', async (c) => {
    refuseOneUser(c);
    return c.json(await cron.listCrontabs(readPage(c.req.query())));
  });

  app.get('/users/:user/crontab', async (c) => {
    const stored = await cron.getCrontab(userOf(c));
    setTags(c, stored);
    const known = c.req
      .header('if-none-match')
      ?.split(',')
      .map((tag) => tag.trim().replace(/^W\//, ''));
    if (known?.includes(stored.etag) || known?.includes(stored.rawEtag)) return c.body(null, 304);
    const {user, crontab} = stored;
    return wantsText(c) ? c.text(crontab) : c.json({user, crontab});
  });

  app.put('/users/:user/crontab', limitBody(maxCrontabBodyBytes), async (c) => {
    const query = c.req.query();
    const dryRun = readFlag(query, 'dry_run');
    const options = {managed: readManaged(query), ifMatch: c.req.header('if-match') ?? null, dryRun};
    const stored = await cron.putCrontab(userOf(c), await readCrontabBody(c), options);
    // A tag names what is stored, and after a dry run that is another text.
    if (!dryRun) setTags(c, stored);
    const {user, crontab, removed_expired} = stored;
    if (wantsMinimum(c)) {
      c.header('Preference-Applied', 'return=minimal');
      return c.json({user, crontab, removed_expired});
    }
    return c.json({user, crontab, removed_expired, ...(await stored.report())});
  });

  app.get('/users/:user/entries', async (c) => {
    const list = await cron.listEntries(userOf(c), readPage(c.req.query()));
    if (lists === 'envelope') return c.json(list);
    c.header('X-Total-Count', String(list.total));
    const link = pageLinks(list);
    if (link !== '') c.header('Link', link);
    return c.json(list.entries);
  });

  app.post('/users/:user/entries', limitBody(maxEntryBodyBytes), async (c) =>
    c.json(
      await cron.createEntry(userOf(c), (await shapes()).createEntrySchema.parse(await readJson(c))),
      201,
    ),
  );

  app.get('/users/:user/entries/:id', async (c) => c.json(await cron.getEntry(userOf(c), c.req.param('id'))));

  app.patch('/users/:user/entries/:id', limitBody(maxEntryBodyBytes), async (c) => {
    const change = (await shapes()).updateEntrySchema.parse(await readJson(c));
    return c.json(await cron.updateEntry(userOf(c), c.req.param('id'), change));
  });

  app.delete('/users/:user/entries/:id', async (c) => {
    await cron.deleteEntry(userOf(c), c.req.param('id'));
    return c.json({deleted: true});
  });

  app.get('/users/:user/entries/:id/next', async (c) =>
    c.json(await cron.nextRuns(userOf(c), c.req.param('id'), readNextCount(c.req.query()))),
  );

  app.get('/users/:user/runs', async (c) =>
    c.json(await cron.listRuns(userOf(c), readRunQuery(c.req.query()))),
  );

  app.get('/users/:user/runs/:id', async (c) => c.json(await cron.getRun(userOf(c), c.req.param('id'))));

  app.get('/users/:user/entries/:id/runs', async (c) =>
    c.json(await cron.listEntryRuns(userOf(c), c.req.param('id'), readRunQuery(c.req.query()))),
  );

  app.get('/metrics', (c) => {
    refuseOneUser(c);
    return c.text(cron.metrics(), 200, {'Content-Type': prometheusText});
  });

  app.get('/openapi.json', async (c) => {
    const {cronOpenApi} = await import('./cron-openapi.ts');
    return c.json(cronOpenApi());
  });

  app.get('/openapi.yaml', async (c) => {
    const {printCronOpenApi} = await import('./cron-openapi.ts');
    return c.body(printCronOpenApi(), 200, {'Content-Type': 'application/yaml; charset=utf-8'});
  });

  app.get('/preview', async (c) => c.json(await cron.previewSchedule(readPreview(c.req.query()))));

  app.post('/preview', limitBody(maxCrontabBodyBytes), async (c) =>
    c.json(cron.previewCrontab(await readCrontabBody(c))),
  );

  return app.route('/', cronRunRoutes(cron));
}

function setTags(c: Context, {etag, rawEtag}: TaggedCrontab): void {
  c.header('ETag', etag);
  c.header('X-Raw-ETag', rawEtag);
}

function wantsText(c: Context): boolean {
  const accept = c.req.header('accept') ?? '';
  return accept.includes('text/plain') && !accept.includes('application/json');
}

/** RFC 7240. A controller needs no description of what it sent. */
function wantsMinimum(c: Context): boolean {
  return /(?:^|[,;])\s*return\s*=\s*"?minimal"?\s*(?:$|[,;])/i.test(c.req.header('prefer') ?? '');
}

function limitBody(maxBytes: number) {
  return bodyLimit({
    maxSize: maxBytes,
    onError() {
      throw new AppError('PAYLOAD_TOO_LARGE', `The body is larger than ${maxBytes} bytes.`);
    },
  });
}

async function readCrontabBody(c: Context): Promise<string> {
  const type = mediaType(c);
  if (type === 'text/plain') return readText(c, 'INVALID_CRONTAB');
  if (isJson(type))
    return (await shapes()).rawCrontabSchema.parse(parseJson(await readText(c, 'INVALID_JSON'))).crontab;
  throw new AppError(
    'UNSUPPORTED_MEDIA_TYPE',
    'Send the crontab as `text/plain`, or as JSON `{"crontab": "..."}`.',
  );
}

async function readJson(c: Context): Promise<unknown> {
  if (!isJson(mediaType(c))) {
    throw new AppError('UNSUPPORTED_MEDIA_TYPE', 'Send JSON with `Content-Type: application/json`.');
  }
  return parseJson(await readText(c, 'INVALID_JSON'));
}

function mediaType(c: Context): string {
  return (c.req.header('content-type') ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '';
}

function isJson(type: string): boolean {
  return type === 'application/json' || /^application\/[a-z0-9.-]+\+json$/.test(type);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new AppError('INVALID_JSON', 'The body is not JSON.', {cause: error});
  }
}

/** A byte order mark stays, so that the text is what was sent. */
async function readText(c: Context, code: 'INVALID_JSON' | 'INVALID_CRONTAB'): Promise<string> {
  const bytes = await c.req.arrayBuffer();
  try {
    return new TextDecoder('utf-8', {fatal: true, ignoreBOM: true}).decode(bytes);
  } catch (error) {
    throw new AppError(code, 'The body is not UTF-8 text.', {cause: error});
  }
}

function pageLinks({page, limit, total}: {page: number; limit: number; total: number}): string {
  const last = Math.max(1, Math.ceil(total / limit));
  const link = (to: number, rel: string) => `<?page=${to}&limit=${limit}>; rel="${rel}"`;
  const links = [
    ...(page > 1 ? [link(1, 'first'), link(page - 1, 'prev')] : []),
    ...(page < last ? [link(page + 1, 'next'), link(last, 'last')] : []),
  ];
  return links.join(', ');
}
