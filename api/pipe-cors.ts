type Field = readonly [name: string, value: string];
type Fields = ReadonlyMap<string, string>;

/**
 * Any page may use a pipe: who knows the name may send and receive, and a container's address is the capability.
 * The origin is reflected so that pages may send credentials to a proxy before us; `null` is nobody's origin.
 */
export function corsFields(request: Fields): Field[] {
  const origin = request.get('origin');
  if (origin === undefined || origin === 'null') return [['Access-Control-Allow-Origin', '*']];
  return [
    ['Access-Control-Allow-Origin', origin],
    ['Access-Control-Allow-Credentials', 'true'],
    ['Vary', 'Origin'],
  ];
}

export function preflightFields(request: Fields): Field[] {
  return [
    ['Access-Control-Allow-Methods', 'GET, HEAD, POST, PUT, OPTIONS'],
    [
      'Access-Control-Allow-Headers',
      'Content-Type, Content-Disposition, X-Piping, X-Hoody-Pipe, Authorization',
    ],
    ['Access-Control-Max-Age', '86400'],
    ...(request.get('access-control-request-private-network') === 'true'
      ? [['Access-Control-Allow-Private-Network', 'true'] as const]
      : []),
  ];
}
