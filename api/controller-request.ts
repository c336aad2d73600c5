import {AppError} from '../schemas/errors.ts';
import {answeredError} from './answered-error.ts';

/** Throws CONTROLLER_UNREACHABLE, or the error that it answers. */
export async function askController(
  url: string,
  token: string,
  method: string,
  path: string,
  {signal, body}: {signal: AbortSignal; body?: object},
): Promise<Response> {
  let response: Response;
  const headers = {Authorization: `Bearer ${token}`};
  const content =
    body === undefined
      ? {headers}
      : {headers: {...headers, 'Content-Type': 'application/json'}, body: JSON.stringify(body)};
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
