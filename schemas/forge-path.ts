/** `user@host:path`, as ssh takes it. */
const scpLike = /^(?:[^@/:]+@)?([^/:@]+):(?!\/\/)(.+)$/;

/**
 * What two addresses of one repository have in common: `host/owner/name` in lower case, without user, port, scheme
 * and `.git`. Null for what names no host, such as a path.
 */
export function forgePath(address: string): string | null {
  const scp = /^[a-z][a-z0-9+.-]*:\/\//i.test(address) ? null : scpLike.exec(address);
  if (scp !== null) return joined(scp[1] ?? '', scp[2] ?? '');
  if (!URL.canParse(address)) return null;
  const {hostname, pathname, protocol} = new URL(address);
  return protocol === 'file:' ? null : joined(hostname, pathname);
}

function joined(host: string, path: string): string | null {
  const name = path
    .replace(/^\/+|\/+$/g, '')
    .replace(/\.git$/i, '')
    .toLowerCase();
  if (host === '' || name === '') return null;
  return `${host.toLowerCase().replace(/^ssh\.github\.com$/, 'github.com')}/${name}`;
}
