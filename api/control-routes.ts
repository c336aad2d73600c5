import {Hono} from 'hono';
import * as z from 'zod';
import type {Shells} from '../runtime/control/shells.ts';
import type {Clock} from '../runtime/platform/clock.ts';
import {
  createEnvironmentChangeSchema,
  createLeaseChangeSchema,
  createScheduleChangeSchema,
  type EnvironmentChange,
  type LeaseChange,
  type ScheduleChange,
} from '../schemas/control.ts';
import type {ControlEvent, ControlState} from '../schemas/control-state.ts';
import type {SeedRequest, SeedResult} from '../schemas/data-archive.ts';
import {AppError} from '../schemas/errors.ts';
import {readBytes, readJsonBody} from './json-body.ts';

/** What the controller may ask of a runtime. */
export interface ControlPort {
  state(): ControlState;
  setSchedule(change: ScheduleChange): Promise<void>;
  setLease(change: LeaseChange): Promise<void>;
  setEnvironment(change: EnvironmentChange): Promise<void>;
  applyChangeSet(body: ReadableStream<Uint8Array>): Promise<{tree: string}>;
  /** Starts no more jobs and ends the running ones within `graceMs`. */
  stopJobs(options: {graceMs: number; reason: string}): Promise<void>;
  /** The data directory as a tar archive; see `runtime/storage/data-archive.ts`. */
  packData(): Promise<AsyncIterable<Uint8Array>>;
  /** What is in the data directory is gone afterwards. Nothing is changed where the archive is not whole. */
  replaceData(body: ReadableStream<Uint8Array>): Promise<void>;
  /** Runs a file of the workspace in the data directory, to its end. */
  seed(request: SeedRequest): Promise<SeedResult>;
  /** Programs that people run here, with the environment of jobs. */
  shells(): Promise<Shells>;
  on(listener: (event: ControlEvent) => void): () => void;
}

const createJobsStopSchema = () =>
  z.object({
    grace_ms: z
      .int()
      .min(0)
      .max(24 * 3_600_000),
    reason: z.string().max(500),
  });

const maxBodyBytes = 16 * 1024 * 1024;
const keepAliveMs = 15_000;
/** A reader that is further behind is cut off; it connects again and reads the state. */
const mostWaitingEvents = 1000;

/** Routes below `/api/v1/control`, for the controller's socket only. */
export function controlRoutes(control: ControlPort, {clock}: {clock: Clock}): Hono {
  const app = new Hono();

  app.get('/', (c) => c.json(control.state()));

  app.put('/schedule', async (c) => {
    await control.setSchedule(
      createScheduleChangeSchema().parse(await readJsonBody(c.req.raw, maxBodyBytes)),
    );
    return c.json(control.state());
  });

  app.put('/lease', async (c) => {
    await control.setLease(createLeaseChangeSchema().parse(await readJsonBody(c.req.raw, maxBodyBytes)));
    return c.json(control.state());
  });

  app.put('/environment', async (c) => {
    await control.setEnvironment(
      createEnvironmentChangeSchema().parse(await readJsonBody(c.req.raw, maxBodyBytes)),
    );
    return c.json(control.state());
  });

  app.post('/workspace', async (c) => {
    const body = c.req.raw.body;
    if (body === null)
      throw new AppError('INVALID_BODY', 'A change set begins with a line of JSON; the body is empty.');
    return c.json(await control.applyChangeSet(body));
  });

  app.post('/jobs/stop', async (c) => {
    const {grace_ms, reason} = createJobsStopSchema().parse(await readJsonBody(c.req.raw, maxBodyBytes));
    await control.stopJobs({graceMs: grace_ms, reason});
    return c.json(control.state());
  });

  app.get('/data', async () => new Response(byteStream(await control.packData()), {headers: archiveHeaders}));

  app.put('/data', async (c) => {
    const body = c.req.raw.body;
    if (body === null)
      throw new AppError('INVALID_BODY', 'Send an archive of a data directory; the body is empty.');
    await control.replaceData(body);
    return c.json(control.state());
  });

  app.post('/seed', async (c) => {
    const {seedRequestSchema} = await import('../schemas/data-archive.ts');
    return c.json(await control.seed(seedRequestSchema.parse(await readJsonBody(c.req.raw, maxBodyBytes))));
  });

  app.post('/shells', async (c) => {
    const {shellRequestSchema} = await import('../schemas/shell.ts');
    const request = shellRequestSchema.parse(await readJsonBody(c.req.raw, maxBodyBytes));
    return new Response(await (await control.shells()).open(request), {headers: shellHeaders});
  });

  app.post('/shells/:id/input', async (c) => {
    const {maxShellInputBytes} = await import('../schemas/shell.ts');
    const bytes = await readBytes(c.req.raw, maxShellInputBytes);
    const shells = await control.shells();
    await shells.input(c.req.param('id'), bytes, {end: c.req.query('end') === 'true'});
    return c.body(null, 204);
  });

  app.put('/shells/:id/size', async (c) => {
    const {shellSizeSchema} = await import('../schemas/shell.ts');
    const size = shellSizeSchema.parse(await readJsonBody(c.req.raw, maxBodyBytes));
    (await control.shells()).resize(c.req.param('id'), size);
    return c.body(null, 204);
  });

  app.get('/events', () => {
    return new Response(eventStream(control, clock), {
      headers: {'content-type': 'text/event-stream', 'cache-control': 'no-store'},
    });
  });

  return app;
}

const shellHeaders = {'content-type': 'application/octet-stream', 'cache-control': 'no-store'};
const archiveHeaders = {'content-type': 'application/x-tar', 'cache-control': 'no-store'};

/** One piece at a time, as the reader takes them. */
function byteStream(pieces: AsyncIterable<Uint8Array>): ReadableStream<Uint8Array> {
  const iterator = pieces[Symbol.asyncIterator]();
  return new ReadableStream<Uint8Array>(
    {
      async pull(stream) {
        const {done, value} = await iterator.next();
        if (done === true) stream.close();
        else stream.enqueue(value);
      },
      cancel: async () => void (await iterator.return?.()),
    },
    {highWaterMark: 0},
  );
}

function eventStream(control: ControlPort, clock: Clock): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  const left = new AbortController();
  return new ReadableStream<Uint8Array>(
    {
      start(stream) {
        const write = (text: string) => {
          if (left.signal.aborted) return;
          stream.enqueue(encoder.encode(text));
          if ((stream.desiredSize ?? 0) > -mostWaitingEvents) return;
          left.abort();
          stream.close();
        };
        const unsubscribe = control.on((event) => write(`data: ${JSON.stringify(event)}\n\n`));
        left.signal.addEventListener('abort', unsubscribe, {once: true});
        write(': connected\n\n');
        void keepAlive(() => write(': still here\n\n'), clock, left.signal);
      },
      cancel: () => left.abort(),
    },
    {highWaterMark: 1},
  );
}

async function keepAlive(comment: () => void, clock: Clock, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await clock.sleep(keepAliveMs, {signal}).catch(() => {
      // The reader has left; the loop ends.
    });
    if (!signal.aborted) comment();
  }
}
