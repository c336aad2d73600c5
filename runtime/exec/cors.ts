import type {CorsOptions} from './script-options.ts';

/** Headers of every answer to a call of another origin, names and values in turn. */
export function corsHeaders({origin, credentials}: CorsOptions, callersOrigin: string | null): string[] {
  if (origin === 'none' || callersOrigin === null) return [];
  const allowed = origin === 'reflective' ? callersOrigin : origin;
  // With `*` browsers take no credentials, whatever is said.
  const withCredentials = credentials && allowed !== '*';
  return [
    'access-control-allow-origin',
    allowed,
    ...(allowed === '*' ? [] : ['vary', 'Origin']),
    ...(withCredentials ? ['access-control-allow-credentials', 'true'] : []),
  ];
}

/** What is added where a browser asks whether it may send the call itself. */
export function preflightHeaders(
  {methods, headers, maxAgeSeconds}: CorsOptions,
  requestedHeaders: string | null,
): string[] {
  const allowed = headers ?? requestedHeaders;
  return [
    'access-control-allow-methods',
    methods,
    ...(allowed === null ? [] : ['access-control-allow-headers', allowed]),
    'access-control-max-age',
    String(maxAgeSeconds),
  ];
}
