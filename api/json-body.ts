import {AppError} from '../schemas/errors.ts';

/** The body as JSON. Throws AppError PAYLOAD_TOO_LARGE, before reading on, or INVALID_JSON. */
export async function readJsonBody(request: Request, maxBytes: number): Promise<unknown> {
  return parseJsonBytes(await readBytes(request, maxBytes));
}

/** Throws AppError INVALID_JSON. */
export function parseJsonBytes(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', {fatal: true}).decode(bytes));
  } catch (error) {
    throw new AppError('INVALID_JSON', 'The body is not JSON in UTF-8.', {cause: error});
  }
}

/** The body as it is. Throws AppError PAYLOAD_TOO_LARGE, before reading on. */
export async function readBytes(
  request: Pick<Request, 'headers' | 'body'>,
  maxBytes: number,
): Promise<Uint8Array> {
  const tooLarge = () => new AppError('PAYLOAD_TOO_LARGE', `The body is larger than ${maxBytes} bytes.`);
  if (Number(request.headers.get('content-length') ?? 0) > maxBytes) throw tooLarge();
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of request.body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > maxBytes) throw tooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
