/** First and last line, from 1, both included. */
export interface LineRange {
  readonly first: number;
  readonly last: number;
}

const newline = 10;

/** The bytes of these lines, read as they are taken; what is behind them is not read. */
export function linesIn(
  body: ReadableStream<Uint8Array>,
  {first, last}: LineRange,
): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  let line = 1;
  return new ReadableStream<Uint8Array>(
    {
      async pull(stream) {
        while (line <= last) {
          const {done, value} = await reader.read();
          if (done) break;
          const [start, end] = bounds(value);
          if (start < end) {
            stream.enqueue(value.subarray(start, end));
            if (line <= last) return;
          }
        }
        await reader.cancel();
        stream.close();
      },
      cancel: (reason) => reader.cancel(reason),
    },
    {highWaterMark: 0},
  );

  /** Which part of a chunk is wanted; counts its lines. */
  function bounds(chunk: Uint8Array): [start: number, end: number] {
    let start = line >= first ? 0 : chunk.length;
    for (let at = chunk.indexOf(newline); at !== -1; at = chunk.indexOf(newline, at + 1)) {
      line += 1;
      if (line === first) start = at + 1;
      if (line > last) return [start, at + 1];
    }
    return [start, chunk.length];
  }
}
