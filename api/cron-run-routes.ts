import {type Context, Hono} from 'hono';
import type {CronService} from '../runtime/cron/service.ts';
import type {OutputEvent} from '../schemas/cron-run-api.ts';
import {readFlag, readWhy} from './cron-query.ts';
import {userOf} from './cron-user.ts';
import {eventStream} from './event-stream.ts';
import {readJsonBody} from './json-body.ts';

const maxPauseBodyBytes = 16 * 1024;

/** The routes of the cron kit by which people run, hold and look into single jobs. */
export function cronRunRoutes(cron: CronService): Hono {
  const app = new Hono();

  app.post('/users/:user/entries/:id/run', async (c) =>
    c.json(await cron.runEntry(userOf(c), c.req.param('id')), 202),
  );

  app.post('/users/:user/entries/:id/pause', async (c) => {
    const {pauseRequestSchema} = await import('../schemas/cron-run-api.ts');
    const request = pauseRequestSchema.parse(await readOptionalJson(c));
    return c.json(await cron.pauseEntry(userOf(c), c.req.param('id'), request));
  });

  app.post('/users/:user/entries/:id/resume', async (c) =>
    c.json(await cron.resumeEntry(userOf(c), c.req.param('id'))),
  );

  app.get('/users/:user/runs/:id/output', async (c) => {
    if (readFlag(c.req.query(), 'follow')) {
      const left = new AbortController();
      const events = await cron.followRun(userOf(c), c.req.param('id'), left.signal);
      return eventStream(events, {left, print, greeting: ': connected\n\n'});
    }
    const {id, status, stdout, stderr, truncated} = await cron.getRun(userOf(c), c.req.param('id'));
    return c.json({id, status, stdout, stderr, truncated});
  });

  app.get('/users/:user/why', async (c) => {
    const {entry, atMs} = readWhy(c.req.query());
    return c.json(await cron.why(userOf(c), entry, atMs));
  });

  return app;
}

async function readOptionalJson(c: Context): Promise<unknown> {
  const {raw} = c.req;
  return raw.body === null || raw.headers.get('content-length') === '0'
    ? {}
    : readJsonBody(raw, maxPauseBodyBytes);
}

function print(event: OutputEvent): string {
  return `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
}
