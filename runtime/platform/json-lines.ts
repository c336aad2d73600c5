/** Takes apart what comes in pieces: one JSON object in each line. */
export class JsonLines {
  readonly #maxLineBytes: number;
  #rest = '';

  constructor(maxLineBytes: number) {
    this.#maxLineBytes = maxLineBytes;
  }

  /** What is complete now. Throws SyntaxError for what is no JSON, and RangeError for a line that is too long. */
  *feed(bytes: Uint8Array): Generator<unknown> {
    // Everything beyond ASCII is escaped by whoever writes these lines.
    const lines = (this.#rest + Buffer.from(bytes).toString('latin1')).split('\n');
    this.#rest = lines.pop() ?? '';
    if (this.#rest.length > this.#maxLineBytes) throw new RangeError('A line is too long.');
    for (const line of lines) yield JSON.parse(line);
  }
}
