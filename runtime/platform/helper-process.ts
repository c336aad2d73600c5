import {type Child, startChild} from './child-process.ts';
import type {Clock} from './clock.ts';
import {connectParent} from './parent-process.ts';
import {createSerialLock} from './serial-lock.ts';

/** A process that does work which may take the process down or never end, one piece after the other. */
export interface HelperProcess {
  /**
   * What `answerParent`'s function made of `request`. It is started at the first request and ends when idle. Throws
   * HelperLost where it ended over the request or took too long, HelperError with what the function threw.
   */
  ask(request: unknown): Promise<unknown>;
  stop(): void;
}

/** The process is gone, and with it what it was asked. */
export class HelperLost extends Error {
  readonly timedOut: boolean;

  constructor(timedOut: boolean) {
    super(timedOut ? 'the helper took too long' : 'the helper ended');
    this.name = 'HelperLost';
    this.timedOut = timedOut;
  }
}

/** What the helper's function threw; `code` is that of the error there, if it had one. */
export class HelperError extends Error {
  readonly code: string | null;

  constructor(message: string, code: string | null) {
    super(message);
    this.name = 'HelperError';
    this.code = code;
  }
}

type Reply =
  | {readonly id: number; readonly result: unknown}
  | {readonly id: number; readonly error: {readonly message: string; readonly code: string | null}};

const idleMs = 10_000;

/** `command` must call `answerParent`. It gets an empty environment. */
export function createHelperProcess({
  command,
  directory,
  clock,
  withinMs,
}: {
  command: readonly string[];
  directory: string;
  clock: Clock;
  withinMs: number;
}): HelperProcess {
  const inTurn = createSerialLock();
  let child: Child | null = null;
  let onReply: (reply: Reply) => void = () => {};
  let idle = new AbortController();
  let lastId = 0;

  function start(): Child {
    const started = startChild({
      command,
      environment: {},
      directory,
      // What our own program says; it runs nobody else's code.
      onMessage: (message) => onReply(message as Reply),
    });
    void started.exited.then(() => {
      if (child === started) child = null;
    });
    return started;
  }

  function stop(): void {
    idle.abort();
    child?.kill('SIGKILL');
    child = null;
  }

  function endWhenIdle(): void {
    idle = new AbortController();
    clock.sleep(idleMs, {signal: idle.signal}).then(stop, () => {
      // There is more to do.
    });
  }

  async function ask(request: unknown): Promise<unknown> {
    idle.abort();
    child ??= start();
    const asked = child;
    lastId += 1;
    const id = lastId;
    const answered = new Promise<Reply>((resolve) => {
      onReply = (reply) => {
        if (reply.id === id) resolve(reply);
      };
    });
    const done = new AbortController();
    let timedOut = false;
    const watched = clock.sleep(withinMs, {signal: done.signal}).then(
      () => {
        timedOut = true;
        asked.kill('SIGKILL');
      },
      () => {
        // It answered in time.
      },
    );
    asked.send({id, request});
    const reply = await Promise.race([answered, asked.exited.then(() => null)]);
    done.abort();
    await watched;
    endWhenIdle();
    if (reply === null) throw new HelperLost(timedOut);
    if ('error' in reply) throw new HelperError(reply.error.message, reply.error.code);
    return reply.result;
  }

  return {ask: (request) => inTurn(() => ask(request)), stop};
}

/** In the helper: answers requests one after the other until the process that started us ends. */
export function answerParent(answer: (request: unknown) => unknown): void {
  const inTurn = createSerialLock();
  const parent = connectParent((message) => {
    const {id, request} = message as {id: number; request: unknown};
    void inTurn(async () => {
      try {
        parent.send({id, result: await answer(request)});
      } catch (error) {
        parent.send({id, error: {message: messageOf(error), code: codeOf(error)}});
      }
    });
  });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function codeOf(error: unknown): string | null {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : null;
}
