import {AppError} from '../schemas/errors.ts';
import {answeredError} from './answered-error.ts';

/** Throws CONTROLLER_UNREACHABLE, or the error that it answers. */
export async function askController(
  url: string,
  token: string,
  method: string,
  path: string,
  {signal, body}: {signal: AbortSignal; body?: object | Uint8Array},
): Promise<Response> {
  let response: Response;
  const headers = {Authorization: `Bearer ${token}`};
  const typed = (type: string, content: string | Uint8Array) => ({
    headers: {...headers, 'Content-Type': type},
    body: content,
  });
  let content: {headers: Record<string, string>; body?: string | Uint8Array} = {headers};
  if (body instanceof Uint8Array) content = typed('application/octet-stream', body);
  else if (body !== undefined) content = typed('application/json', JSON.stringify(body));
  try {
    response = await fetch(`${url}${path}`, {method, ...content, signal});
  } catch (cause) {
    throw new AppError(
      'CONTROLLER_UNREACHABLE',
      `No controller answers at ${url}; start one with \`branchtab up\``,
      {cause},
    );
  }
  if (response.ok) return response;
  throw await answeredError(response, 'controller');
}
