import type {Execution} from '../../schemas/execution.ts';
import type {SecretMask} from '../platform/secret-mask.ts';

/** The record without secrets in it. What the script printed has been masked as it came. */
export function maskExecution(execution: Execution, mask: SecretMask): Execution {
  const {url, error, request_headers, request_body, response_body} = execution;
  // Bodies are cut where they are too long.
  const body = (text: string | null) => (text === null ? null : mask.text(text, {cutEnd: true}));
  return {
    ...execution,
    url: mask.text(url),
    error:
      error === null ? null : {...error, message: mask.text(error.message), stack: mask.text(error.stack)},
    request_headers:
      request_headers === null
        ? null
        : Object.fromEntries(Object.entries(request_headers).map(([name, text]) => [name, mask.text(text)])),
    request_body: body(request_body),
    response_body: body(response_body),
  };
}
