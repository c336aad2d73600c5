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

/** A name of the operator's choice in the place of an id, or as the whole label of a host. */
export interface KitAlias {
  readonly container: string;
  /** What the alias alone is; undefined where it only stands for a container. */
  readonly kit?: Kit | undefined;
  /** False where the address proves nothing. */
  readonly public: boolean;
}

/** Which hosts below which domains are those of kits. Domains and aliases are in lower case. */
export interface KitHosts {
  readonly domains: readonly string[];
  readonly aliases: ReadonlyMap<string, KitAlias>;
}

const pathForm = /^\/c\/([0-9a-f]{24})\/([a-z]+)(\/.*|\?.*)?$/s;
/** Name of this server in hosts of the public form, `<project>-<id>-<kit>-<n>.<server>.<domain>`. */
export const publicServerName = 'local';
/** The project is of no consequence: ids are unique. */
const publicPair = /^[0-9a-f]{24}-([0-9a-f]{24})$/;
const hostLabel = /^([a-z0-9_-]+)-([a-z]+)-[1-9]\d{0,3}$/;
/** People pass the address of a pipe on by word of mouth: `prod-pipe.example.org` will do. */
const pipeLabel = /^([a-z0-9_-]+)-(pipe)$/;

/**
 * Reads `<id>-<kit>-<n>.<domain>`, the public `<project>-<id>-<kit>-<n>.<server>.<domain>`, `<name>-<kit>-<n>.<domain>`, both also as `...-pipe.<domain>`, or else
 * `/c/<id>/<kit>/...`; null for every other request. The host wins: what a container serves below `/c/` is its own.
 * `<alias>` may stand for `<id>`, and with a kit of its own for the whole label.
 */
export function kitAddress(
  {host, target}: {host: string; target: string},
  hosts: KitHosts,
): KitAddress | null {
  return hostAddress(host, target, hosts) ?? pathAddress(target);
}

function hostAddress(host: string, target: string, {domains, aliases}: KitHosts): KitAddress | null {
  const name = hostName(host) ?? '';
  const dot = name.indexOf('.');
  const below = dot < 0 ? '' : name.slice(dot + 1);
  const isPublic = below.startsWith(`${publicServerName}.`);
  const domain = isPublic ? below.slice(publicServerName.length + 1) : below;
  if (!domains.includes(domain)) return null;
  const label = name.slice(0, dot);
  const whole = isPublic ? undefined : aliases.get(label);
  if (whole?.kit !== undefined) return aliasAddress(whole, whole.kit, target);
  const [, container = '', word = ''] = hostLabel.exec(label) ?? pipeLabel.exec(label) ?? [];
  const kit = word === 'n' ? 'notifications' : kits.find((each) => each === word);
  if (kit === undefined) return null;
  const alias = isPublic ? undefined : aliases.get(container);
  if (alias !== undefined) return aliasAddress(alias, kit, target);
  const [, ofProject] = publicPair.exec(container) ?? [];
  if (isPublic && ofProject === undefined) return null;
  const id = ofProject ?? containerIdOf(container);
  // No name has an underscore: a wrong id is told to be unknown, not to need a token.
  const guessable = id === null && !container.includes('_');
  return {container: id ?? container, kit, path: target, byHost: true, guessable};
}

function aliasAddress(alias: KitAlias, kit: Kit, target: string): KitAddress {
  const container = containerIdOf(alias.container) ?? alias.container;
  return {container, kit, path: target, byHost: true, guessable: !alias.public};
}

function pathAddress(target: string): KitAddress | null {
  const [, container, word, rest = '/'] = pathForm.exec(target) ?? [];
  const kit = kits.find((each) => each === word);
  if (container === undefined || kit === undefined) return null;
  const path = rest.startsWith('?') ? `/${rest}` : rest;
  return {container, kit, path, byHost: false, guessable: false};
}
