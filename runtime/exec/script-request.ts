import type {HostedExchange} from './call-server.ts';
import {joinHeaders} from './node-request.ts';

const maxBodyBytes = 100 * 1024 * 1024;

export interface UploadedFile {
  readonly fieldName: string;
  readonly filename: string;
  readonly type: string;
  readonly size: number;
  readonly data: Buffer;
}

/** What a body was made into. */
export interface ParsedBody {
  readonly body: unknown;
  readonly rawBody: Buffer;
  readonly files: readonly UploadedFile[];
}

/** Thrown for a body that does not fit its content type; the caller's fault, not the script's. */
export class RequestBodyError extends Error {
  override readonly name = 'RequestBodyError';
}

/** Also of what throws when it is looked at, as a script's own may. */
export function isRequestBodyError(error: unknown): error is RequestBodyError {
  try {
    return error instanceof RequestBodyError;
  } catch {
    return false;
  }
}

/**
 * Reads and parses a body: JSON, urlencoded (last value wins) or multipart (text fields; files apart), else the
 * bytes. GET and HEAD bodies are never read.
 */
export async function readBody(exchange: HostedExchange): Promise<ParsedBody> {
  const {method, headers, body} = exchange;
  if (method === 'GET' || method === 'HEAD') return {body: undefined, rawBody: Buffer.alloc(0), files: []};
  const rawBody = body === null ? Buffer.alloc(0) : await readBytes(body);
  const type = String(joinHeaders(headers)['content-type'] ?? '');
  if (/^application\/(?:[\w.-]+\+)?json\b/i.test(type)) return {body: parseJson(rawBody), rawBody, files: []};
  if (/^application\/x-www-form-urlencoded\b/i.test(type)) {
    return {body: Object.fromEntries(new URLSearchParams(rawBody.toString('utf8'))), rawBody, files: []};
  }
  if (/^multipart\/form-data\b/i.test(type)) return {...(await parseMultipart(rawBody, type)), rawBody};
  return {body: rawBody, rawBody, files: []};
}

async function readBytes(body: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > maxBodyBytes) {
      throw new RequestBodyError(`The body is larger than ${maxBodyBytes} bytes.`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function parseJson(bytes: Buffer): unknown {
  if (bytes.length === 0) return undefined;
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    throw new RequestBodyError('The body is not the JSON that its content type promises.', {cause: error});
  }
}

async function parseMultipart(bytes: Buffer, type: string): Promise<Omit<ParsedBody, 'rawBody'>> {
  const body: Record<string, string> = {};
  const files: UploadedFile[] = [];
  for (const [fieldName, value] of await formEntries(bytes, type)) {
    if (typeof value === 'string') {
      body[fieldName] = value;
      continue;
    }
    const data = Buffer.from(await value.arrayBuffer());
    files.push({fieldName, filename: value.name, type: value.type, size: data.length, data});
  }
  return {body, files};
}

async function formEntries(bytes: Buffer, type: string): Promise<[string, string | File][]> {
  try {
    const form = await new Response(new Uint8Array(bytes), {headers: {'content-type': type}}).formData();
    return [...form.entries()];
  } catch (error) {
    throw new RequestBodyError('The body is not the multipart form that its content type promises.', {
      cause: error,
    });
  }
}
