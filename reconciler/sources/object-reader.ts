import type {Git, GitChild} from '../../runtime/platform/git-process.ts';
import {type BatchMode, createBatchParser, type ObjectReply} from './batch-output.ts';

interface Request {
  readonly spec: string;
  readonly maxBytes: number;
  /** How many processes died while this request was the oldest open one. */
  deaths: number;
  resolve(reply: ObjectReply): void;
  reject(error: Error): void;
}

/** A request that was the oldest open one this often when the process died gets an error. */
const mostDeathsOfRequest = 2;
/** So many deaths without an answer between them: git itself is broken, and everybody who waits is told. */
const mostDeathsInRow = 4;

/**
 * Asks for git objects through one long-lived `git cat-file`. Requests are pipelined and answered in
 * order. A process that dies is replaced and the open requests are asked again.
 */
export class ObjectReader {
  readonly #git: Git;
  readonly #mode: BatchMode;
  #child: GitChild | null = null;
  #open: Request[] = [];
  #closed = false;
  #deathsInRow = 0;
  /** Counts processes; a caller that saw an object missing names the one that said so. */
  generation = 0;

  constructor(git: Git, mode: BatchMode) {
    this.#git = git;
    this.#mode = mode;
  }

  /** Process id of the reader, for tests and diagnosis. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /**
   * `spec` is an object id or `<commit>:<path>`, without spaces or line feeds. An object above `maxBytes`
   * comes without its bytes. Rejects with an Error when git fails, with the signal's reason when it aborts.
   */
  read(spec: string, {maxBytes, signal}: {maxBytes: number; signal: AbortSignal}): Promise<ObjectReply> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      if (this.#closed) return reject(new Error('the source is closed'));
      if (/\s/.test(spec)) return reject(new Error(`not an object name: ${JSON.stringify(spec)}`));
      // The answer of an aborted request still has to be read past; only nobody waits for it.
      const onAbort = () => reject(signal.reason);
      signal.addEventListener('abort', onAbort, {once: true});
      const settled = () => signal.removeEventListener('abort', onAbort);
      const request: Request = {
        spec,
        maxBytes,
        deaths: 0,
        resolve: (reply) => {
          settled();
          resolve(reply);
        },
        reject: (error) => {
          settled();
          reject(error);
        },
      };
      this.#open.push(request);
      if (this.#child === null) this.#start();
      else this.#child.write(`${spec}\n`);
    });
  }

  /** Replaces the process that is of `generation`, unless that happened already. */
  restart(generation: number): void {
    if (generation !== this.generation || this.#child === null) return;
    this.#replace(this.#child);
  }

  close(): void {
    this.#closed = true;
    this.#child?.stop();
    this.#child = null;
    for (const request of this.#open.splice(0)) request.reject(new Error('the source was closed'));
  }

  #start(): void {
    this.generation += 1;
    const parse = createBatchParser({
      mode: this.#mode,
      maxBytes: () => this.#open[0]?.maxBytes ?? null,
      onReply: (reply) => {
        this.#deathsInRow = 0;
        this.#open.shift()?.resolve(reply);
      },
      onAbandon: () => this.#replace(child),
    });
    const child = this.#git.start(['cat-file', this.#mode === 'contents' ? '--batch' : '--batch-check'], {
      onOutput: (chunk) => {
        if (this.#child !== child) return;
        try {
          parse(chunk);
        } catch (error) {
          this.#fail(child, error instanceof Error ? error : new Error(String(error)));
        }
      },
      onEnd: (reason) => this.#fail(child, new Error(`git cat-file ${reason}`)),
    });
    this.#child = child;
    if (this.#open.length > 0) child.write(`${this.#open.map((request) => request.spec).join('\n')}\n`);
  }

  #replace(child: GitChild): void {
    this.#child = null;
    child.stop();
    if (this.#open.length > 0) this.#start();
  }

  #fail(child: GitChild, error: Error): void {
    if (this.#child !== child) return;
    this.#deathsInRow += 1;
    const oldest = this.#open[0];
    if (oldest !== undefined) oldest.deaths += 1;
    const givenUp =
      this.#deathsInRow >= mostDeathsInRow
        ? this.#open.length
        : (oldest?.deaths ?? 0) >= mostDeathsOfRequest
          ? 1
          : 0;
    for (const request of this.#open.splice(0, givenUp)) request.reject(error);
    this.#replace(child);
  }
}
