export function pipePage(
  name: string,
  _o: {query: URLSearchParams; baseUrl: string},
): {body: string; fields: [string, string][]} | null {
  return name === 'x' ? null : {body: 'help\n', fields: [['Content-Type', 'text/plain']]};
}
export function watchPage(
  _k: string,
  _n: string,
  _q: URLSearchParams,
): {body: string; fields: [string, string][]} {
  return {body: '', fields: []};
}
