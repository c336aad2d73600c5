import {AppError} from '../schemas/errors.ts';

/** What a server says of all that it has; more is not believed. */
const maxAnswerBytes = 64 * 1024 * 1024;

/** Who answers, for people, and the code of what is thrown where that cannot be read. */
export interface Answerer {
  readonly who: string;
  readonly code: 'PROVIDER_UNAVAILABLE' | 'CONTAINER_UNAVAILABLE';
}

/** Throws the answerer's code where it is too much. */
export async function readBytes(response: Response, {who, code}: Answerer): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of response.body ?? []) {
    bytes += piece.byteLength;
    if (bytes > maxAnswerBytes) throw new AppError(code, `${who} answered more than 64 MiB.`);
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

/** Throws the answerer's code where it is too much. */
export async function readText(response: Response, answerer: Answerer): Promise<string> {
  return (await readBytes(response, answerer)).toString('utf8');
}

/** Throws the answerer's code where it is too much, or no JSON. */
export async function readJson(response: Response, answerer: Answerer): Promise<unknown> {
  const text = await readText(response, answerer);
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new AppError(answerer.code, `${answerer.who} answered what is not JSON.`, {cause});
  }
}
