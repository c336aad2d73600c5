/** One change of a test's change set; `bytes` make a write, none makes a delete. */
export interface TestChange {
  readonly path: string;
  readonly kind: 'file' | 'executable' | 'symlink' | 'delete';
  readonly bytes?: string;
}

/** The body of a change set, cut into pieces of `pieceBytes` and, when given, ended after `cutAt` bytes. */
export function changeSet(
  {base, target, changes}: {base: string | null; target: string; changes: readonly TestChange[]},
  {pieceBytes = 7, cutAt = Number.POSITIVE_INFINITY}: {pieceBytes?: number; cutAt?: number} = {},
): ReadableStream<Uint8Array> {
  const line = (value: unknown) => Buffer.from(`${JSON.stringify(value)}\n`);
  const body = Buffer.concat([
    line({base, target}),
    ...changes.flatMap(({path, kind, bytes = ''}) =>
      kind === 'delete'
        ? [line({path, kind})]
        : [line({path, kind, size: Buffer.byteLength(bytes)}), Buffer.from(bytes)],
    ),
    line({end: true}),
  ]).subarray(0, cutAt);
  return new ReadableStream({
    start(stream) {
      for (let at = 0; at < body.length; at += pieceBytes)
        stream.enqueue(new Uint8Array(body.subarray(at, at + pieceBytes)));
      stream.close();
    },
  });
}
