import {AppError} from '../schemas/errors.ts';

/**
 * Refuses a request whose Host is not one of ours, so that a foreign name that resolves to this address
 * (DNS rebinding) reaches nothing. Ours are IP literals, `localhost`, `*.localhost`, `hoody-*` and `allowedHosts`
 * (exact names, or `*.example.org` for everything below). `host` is the header, null where there is none. Throws
 * AppError MISDIRECTED_HOST.
 */
export function refuseMisdirected(host: string | null, allowedHosts: readonly string[]): void {
  const refused = misdirection(host, allowedHosts);
  if (refused !== null) throw refused;
}

/** What `refuseMisdirected` throws; null where it lets the request pass. */
export function misdirection(host: string | null, allowedHosts: readonly string[]): AppError | null {
  const name = hostName(host ?? '');
  if (name !== null && isOurs(name, allowedHosts)) return null;
  return new AppError(
    'MISDIRECTED_HOST',
    `This listener does not serve the host ${JSON.stringify(host ?? '')}. Use its address, localhost or a configured name.`,
  );
}

/**
 * Refuses what a page of another site makes a browser send. Programs send neither header and pass.
 * Throws AppError FORBIDDEN.
 */
export function refuseForeign(headers: {get(name: string): string | null | undefined}): void {
  const origin = headers.get('origin') ?? null;
  if (
    headers.get('sec-fetch-site') !== 'cross-site' &&
    (origin === null || isSameHost(origin, headers.get('host') ?? null))
  )
    return;
  throw new AppError(
    'FORBIDDEN',
    'Requests of other sites are refused here. Call this address from its own pages or from a program.',
  );
}

/** The lower-case name or IP literal of a Host header, without port; null for what is no Host header. */
export function hostName(header: string): string | null {
  const match = /^(?:\[([0-9a-f:.]{2,45})\]|([a-z0-9_.-]{1,253}))(?::\d{1,5})?$/i.exec(header);
  return (match?.[1] ?? match?.[2]?.replace(/\.$/, ''))?.toLowerCase() ?? null;
}

function isOurs(name: string, allowedHosts: readonly string[]): boolean {
  if (name.includes(':') || /^\d{1,3}(?:\.\d{1,3}){3}$/.test(name)) return true;
  if (name === 'localhost' || name.endsWith('.localhost') || /^hoody-[a-z0-9-]+$/.test(name)) return true;
  return allowedHosts.some((allowed) => {
    const wanted = allowed.toLowerCase();
    return wanted.startsWith('*.') ? name.endsWith(wanted.slice(1)) : name === wanted;
  });
}

/** `null`, the origin of sandboxed pages, is nobody's host. */
function isSameHost(origin: string, host: string | null): boolean {
  if (host === null || !URL.canParse(origin)) return false;
  return (
    new URL(origin).host === host.toLowerCase().replace(/:(?:80|443)$/, '') ||
    new URL(origin).host === host.toLowerCase()
  );
}
