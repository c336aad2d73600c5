/** What an engine was last seen to run of the containers, and what we know better because we changed it ourselves. */
export class Sightings {
  readonly #running = new Set<string>();
  /** When we changed it ourselves: an older answer of the engine does not count. */
  readonly #changedAt = new Map<string, number>();
  /** Seen to have ended: while an engine clears up it may say once more that they run. */
  readonly #ended = new Set<string>();
  #step = 0;

  /** To be called before the engine is asked; its answer is told with what this returns. */
  ask(): number {
    this.#step += 1;
    return this.#step;
  }

  /** False where the answer to the question `asked` is older than what we know of the container. */
  counts(id: string, asked: number): boolean {
    return (this.#changedAt.get(id) ?? 0) <= asked;
  }

  /** The engine's answer, for a container of which it counts. */
  answer(id: string, isRunning: boolean): void {
    if (isRunning && !this.#ended.has(id)) this.#running.add(id);
    else this.#running.delete(id);
  }

  /** The engine's answer that it has ended: from now on only a start of ours makes it run. */
  answerEnd(id: string): void {
    this.#ended.add(id);
    this.#running.delete(id);
  }

  noteStart(id: string): void {
    this.#ended.delete(id);
    this.note(id, true);
  }

  /** We made it so, or saw it just now. */
  note(id: string, isRunning: boolean): void {
    this.#changedAt.set(id, this.ask());
    this.answer(id, isRunning);
  }

  isRunning(id: string): boolean {
    return this.#running.has(id);
  }

  forget(id: string): void {
    this.#running.delete(id);
    this.#ended.delete(id);
    this.#changedAt.delete(id);
  }
}
