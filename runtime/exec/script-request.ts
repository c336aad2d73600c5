import type {IncomingMessage, ServerResponse} from '../platform/call-server.ts';

const maxBodyBytes = 100 * 1024 * 1024;

export interface UploadedFile {
  readonly fieldName: string;
  readonly filename: string;
  readonly type: string;
  readonly size: number;
  readonly data: Buffer;
}

export interface RequestBody {
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
export async function readBody(request: IncomingMessage): Promise<RequestBody> {
  if (request.method === 'GET' || request.method === 'HEAD')
    return {body: undefined, rawBody: Buffer.alloc(0), files: []};
  const rawBody = await readBytes(request);
  const type = request.headers['content-type'] ?? '';
  if (/^application\/(?:[\w.-]+\+)?json\b/i.test(type)) return {body: parseJson(rawBody), rawBody, files: []};
  if (/^application\/x-www-form-urlencoded\b/i.test(type)) {
    return {body: Object.fromEntries(new URLSearchParams(rawBody.toString('utf8'))), rawBody, files: []};
  }
  if (/^multipart\/form-data\b/i.test(type)) return {...(await parseMultipart(rawBody, type)), rawBody};
  return {body: rawBody, rawBody, files: []};
}

async function readBytes(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
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

async function parseMultipart(bytes: Buffer, type: string): Promise<Omit<RequestBody, 'rawBody'>> {
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

/** Adds `status`, `json` and `send` to Node's response, as scripts know them from Express. */
export function withShortcuts(response: ServerResponse): ServerResponse {
  return Object.assign(response, {
    status(code: number) {
      response.statusCode = code;
      return response;
    },
    json(value: unknown) {
      sendJson(response, value);
      return response;
    },
    send(value: unknown) {
      if (typeof value === 'string' || value instanceof Uint8Array) sendBytes(response, value);
      else sendJson(response, value);
      return response;
    },
  });
}

export function sendJson(response: ServerResponse, value: unknown): void {
  // Before the header, so that a value that is not JSON leaves the answer unwritten.
  const text = JSON.stringify(value) ?? 'null';
  setTypeIfNone(response, 'application/json');
  response.end(text);
}

export function sendBytes(response: ServerResponse, value: string | Uint8Array): void {
  setTypeIfNone(
    response,
    typeof value === 'string' ? 'text/plain; charset=utf-8' : 'application/octet-stream',
  );
  response.end(value);
}

export function setTypeIfNone(response: ServerResponse, type: string): void {
  if (!response.hasHeader('content-type')) response.setHeader('content-type', type);
}
