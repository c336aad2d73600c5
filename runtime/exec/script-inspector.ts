import {AppError} from '../../schemas/errors.ts';
import type {Issue} from '../../schemas/issue.ts';
import {type Child, startChild} from '../platform/child-process.ts';
import type {Clock} from '../platform/clock.ts';
import {createSerialLock} from '../platform/serial-lock.ts';
import type {InspectionName, InspectionResult, ScriptText} from './inspections.ts';

/** Finds out what is in scripts without running them, in a process of its own that ends when it has nothing to do. */
export interface ScriptInspector {
  /** Why a script cannot be loaded; empty when it can. Never throws for what is in the text. */
  check(script: ScriptText): Promise<Issue[]>;
  /** Throws AppError SCRIPT_INVALID for a text that brings the parser down. */
  ask<N extends InspectionName>(inspection: N, script: ScriptText): Promise<InspectionResult<N>>;
  stop(): void;
}

const idleMs = 10_000;
/** The largest script takes a small part of it. */
const withinMs = 30_000;

interface Reply {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: string;
}

/** `command` starts this program again; the word `script-inspector` is added. */
export function createScriptInspector({
  command,
  directory,
  clock,
}: {
  command: readonly string[];
  directory: string;
  clock: Clock;
}): ScriptInspector {
  const inTurn = createSerialLock();
  let child: Child | null = null;
  let onReply: (reply: Reply) => void = () => {};
  let idle = new AbortController();
  let lastId = 0;

  function start(): Child {
    const started = startChild({
      command: [...command, 'script-inspector'],
      environment: {},
      directory,
      onMessage: (message) => onReply(message as Reply),
    });
    void started.exited.then(() => {
      if (child === started) child = null;
    });
    return started;
  }

  /** Null where the process ends over the text, or has not answered after `withinMs`. */
  async function reply(inspection: InspectionName, {path, text}: ScriptText): Promise<Reply | null> {
    idle.abort();
    child ??= start();
    const asked = child;
    lastId += 1;
    const id = lastId;
    const answered = new Promise<Reply>((resolve) => {
      onReply = (message) => {
        if (message.id === id) resolve(message);
      };
    });
    const late = new AbortController();
    const timeout = clock.sleep(withinMs, {signal: late.signal}).then(
      () => asked.kill('SIGKILL'),
      () => {
        // It answered in time.
      },
    );
    asked.send({id, inspection, path, text});
    const outcome = await Promise.race([answered, asked.exited.then(() => null)]);
    late.abort();
    await timeout;
    endWhenIdle();
    return outcome;
  }

  function endWhenIdle(): void {
    idle = new AbortController();
    clock.sleep(idleMs, {signal: idle.signal}).then(stop, () => {
      // There is more to do.
    });
  }

  function stop(): void {
    idle.abort();
    child?.kill('SIGKILL');
    child = null;
  }

  async function ask<N extends InspectionName>(
    inspection: N,
    script: ScriptText,
  ): Promise<InspectionResult<N>> {
    const answer = await inTurn(() => reply(inspection, script));
    if (answer === null) {
      throw new AppError('SCRIPT_INVALID', 'Script validation failed', {
        details: {validation: [unparsable(script.path)]},
      });
    }
    if (answer.error !== undefined)
      throw new AppError('BACKEND_ERROR', `${script.path} could not be inspected: ${answer.error}`);
    // What our own program sends back to itself.
    return answer.result as InspectionResult<N>;
  }

  return {
    async check(script) {
      try {
        return await ask('check', script);
      } catch (error) {
        if (error instanceof AppError && error.code === 'SCRIPT_INVALID') return [unparsable(script.path)];
        throw error;
      }
    },
    ask,
    stop,
  };
}

function unparsable(file: string): Issue {
  return {
    file,
    line: 1,
    column: 1,
    code: 'script_unparsable',
    message: 'The parser gave up on this script. It is nested too deeply or too large; split it.',
  };
}
