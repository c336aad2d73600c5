import {containerIdOf} from '../schemas/container-api.ts';
import {type Kit, kits} from '../schemas/control.ts';
import {hostName} from './host-guard.ts';

/** Where a request to the controller leads when it is for a kit of a container. */
export interface KitAddress {
  /** 24 hex digits; or what stands in their place in a host name, which may name nothing. */
  readonly container: string;
  readonly kit: Kit;
  /** Target for the container, byte for byte. */
  readonly path: string;
  readonly byHost: boolean;
  /** True where the container is meant by a name that can be guessed, so that the address proves nothing. */
  readonly guessable: boolean;
}

const pathForm = /^\/c\/([0-9a-f]{24})\/([a-z]+)(\/.*|\?.*)?$/s;
const hostLabel = /^([a-z0-9_-]+)-([a-z]+)-[1-9]\d{0,3}$/;
/** People pass the address of a pipe on by word of mouth: `prod-pipe.example.org` will do. */
const pipeLabel = /^([a-z0-9_-]+)-(pipe)$/;

/**
 * Reads `<id>-<kit>-<n>.<domain>`, `<name>-<kit>-<n>.<domain>`, both also as `...-pipe.<domain>`, or else
 * `/c/<id>/<kit>/...`; null for every other request. The host wins: what a container serves below `/c/` is its own.
 * `domains` come in lower case.
 */
export function kitAddress(
  {host, target}: {host: string; target: string},
  domains: readonly string[],
): KitAddress | null {
  return hostAddress(host, target, domains) ?? pathAddress(target);
}

function hostAddress(host: string, target: string, domains: readonly string[]): KitAddress | null {
  const name = hostName(host) ?? '';
  const dot = name.indexOf('.');
  if (dot < 0 || !domains.includes(name.slice(dot + 1))) return null;
  const label = name.slice(0, dot);
  const [, container = '', word = ''] = hostLabel.exec(label) ?? pipeLabel.exec(label) ?? [];
  const kit = word === 'n' ? 'notifications' : kits.find((each) => each === word);
  if (kit === undefined) return null;
  const id = containerIdOf(container);
  // No name has an underscore: a wrong id is told to be unknown, not to need a token.
  const guessable = id === null && !container.includes('_');
  return {container: id ?? container, kit, path: target, byHost: true, guessable};
}

function pathAddress(target: string): KitAddress | null {
  const [, container, word, rest = '/'] = pathForm.exec(target) ?? [];
  const kit = kits.find((each) => each === word);
  if (container === undefined || kit === undefined) return null;
  const path = rest.startsWith('?') ? `/${rest}` : rest;
  return {container, kit, path, byHost: false, guessable: false};
}
