import {AppError} from '../../schemas/errors.ts';
import type {ShellEvent, ShellRequest, ShellSize} from '../../schemas/shell.ts';
import type {Identity} from '../platform/become.ts';
import type {Clock} from '../platform/clock.ts';
import {findShell, type InteractiveProcess, startInteractive} from '../platform/interactive-process.ts';

/** Programs that people run in the container. */
export interface Shells {
  /** Lines of `ShellEvent`; leaving them ends the program. Throws INVALID_USER, USER_NOT_FOUND, LIMIT_REACHED. */
  open(request: ShellRequest): Promise<ReadableStream<Uint8Array>>;
  /** Resolves when more may come. Throws SHELL_NOT_FOUND. */
  input(id: string, bytes: Uint8Array, options: {end: boolean}): Promise<void>;
  /** Throws SHELL_NOT_FOUND. */
  resize(id: string, size: ShellSize): void;
}

const mostShells = 32;
const endGraceMs = 2000;
/** A reader that is further behind loses the newest: a terminal cannot be made to wait. */
const mostWaitingBytes = 8 * 1024 * 1024;
const resumeBelowBytes = 1024 * 1024;
/** A multiple of three: the next piece begins with a whole digit of base64. */
const pieceBytes = 48 * 1024;

/** As whom jobs of the branch's own crontab run. */
const ownUser = 'root';
const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export function createShells({
  home,
  variables,
  accountOf,
  clock,
}: {
  home: string;
  /** As whom jobs in the crontab of a user run, null being the runtime's own user. Throws INVALID_USER, USER_NOT_FOUND. */
  accountOf: (user: string) => Promise<Identity | null>;
  clock: Clock;
  /** Of the container at this moment, secrets among them. */
  variables: () => Readonly<Record<string, string>>;
}): Shells {
  const running = new Map<string, InteractiveProcess>();

  const find = (id: string): InteractiveProcess => {
    const found = running.get(id);
    if (found === undefined)
      throw new AppError('SHELL_NOT_FOUND', `No shell ${id.slice(0, 64)} is open here.`);
    return found;
  };

  return {
    async open({command, terminal, term, user = ownUser}) {
      const identity = await accountOf(user);
      if (running.size >= mostShells)
        throw new AppError('LIMIT_REACHED', `${mostShells} shells are open in this container; leave one.`);
      const shell = findShell();
      const environment = {
        PATH: defaultPath,
        ...variables(),
        HOME: home,
        SHELL: shell,
        USER: user,
        LOGNAME: user,
        ...(terminal === null ? {} : {TERM: term ?? 'xterm'}),
      };
      const id = crypto.randomUUID();
      const [program = shell, ...args] = command ?? [shell];
      let started: InteractiveProcess | null = null;
      return eventStream(clock, (lines) => {
        const process = startInteractive({
          command: [program, ...args],
          identity,
          directory: home,
          environment,
          terminal,
          onOutput: (stream, bytes) => lines.output(stream, bytes),
        });
        started = process;
        running.set(id, process);
        lines.event({type: 'started', id});
        void process.ended.then((end) => {
          running.delete(id);
          lines.event(
            end.kind === 'exited'
              ? {type: 'exited', code: end.code, signal: end.signal}
              : {type: 'failed', message: `${program} does not start: ${end.message}`},
          );
          lines.end();
        });
        return {
          setFlowing: process.setFlowing,
          left() {
            running.delete(id);
            started?.end(endGraceMs);
          },
        };
      });
    },
    async input(id, bytes, {end}) {
      const process = find(id);
      if (bytes.byteLength > 0) await process.write(bytes);
      if (end) process.endInput();
    },
    resize: (id, size) => find(id).resize(size),
  };
}

interface Lines {
  output(stream: 'stdout' | 'stderr', bytes: Uint8Array): void;
  event(event: ShellEvent): void;
  end(): void;
}

const keepAliveMs = 15_000;

function eventStream(
  clock: Clock,
  start: (lines: Lines) => {setFlowing: (flowing: boolean) => void; left: () => void},
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let waiting: Uint8Array[] = [];
  let waitingBytes = 0;
  let lostBytes = 0;
  let isOver = false;
  let wake = () => {};
  let source: ReturnType<typeof start> | null = null;
  const push = (event: ShellEvent) => {
    const line = encoder.encode(`${JSON.stringify(event)}\n`);
    waiting.push(line);
    waitingBytes += line.byteLength;
    wake();
  };
  const lines: Lines = {
    event: push,
    output(stream, bytes) {
      if (waitingBytes > mostWaitingBytes) {
        lostBytes += bytes.byteLength;
        return;
      }
      for (let at = 0; at < bytes.byteLength; at += pieceBytes)
        push({
          type: 'output',
          stream,
          base64: Buffer.from(bytes.subarray(at, at + pieceBytes)).toString('base64'),
        });
      if (waitingBytes > resumeBelowBytes) source?.setFlowing(false);
    },
    end() {
      isOver = true;
      wake();
    },
  };
  /** False as soon as something happens; true when nothing did for so long that the connection might be given up. */
  const isSilent = async (): Promise<boolean> => {
    const happened = new AbortController();
    wake = () => happened.abort();
    try {
      await clock.sleep(keepAliveMs, {signal: happened.signal});
      return true;
    } catch {
      // Something came.
      return false;
    }
  };
  return new ReadableStream<Uint8Array>(
    {
      start() {
        source = start(lines);
      },
      async pull(stream) {
        while (waiting.length === 0) {
          if (isOver) return stream.close();
          if (await isSilent()) return stream.enqueue(encoder.encode('\n'));
        }
        for (const line of waiting) stream.enqueue(line);
        waiting = [];
        waitingBytes = 0;
        if (lostBytes > 0) {
          const note = Buffer.from(`\n[... ${lostBytes} bytes left out ...]\n`).toString('base64');
          lostBytes = 0;
          push({type: 'output', stream: 'stderr', base64: note});
        }
        source?.setFlowing(true);
      },
      cancel: () => source?.left(),
    },
    {highWaterMark: 0},
  );
}
