import {createSerialLock} from '../../../runtime/platform/serial-lock.ts';
import {AppError} from '../../../schemas/errors.ts';
import type {ContainerTable, Entry} from '../container-table.ts';
import type {Incus, Settings} from './incus.ts';
import type {IncusRecord} from './incus-record.ts';
import {ownerKey} from './instance-config.ts';
import {chooseAddress, type NetworkAddress, ownGateway} from './network-address.ts';

export interface ContainerNetworkOptions {
  readonly incus: Incus;
  readonly owner: string;
  /** As in the options of the provider. */
  readonly network: string;
  readonly table: ContainerTable<IncusRecord>;
}

/** Which network containers are in, and where in it each of them is. */
export class ContainerNetwork {
  readonly #options: ContainerNetworkOptions;
  /** Null for none at all. */
  readonly #name: string | null;
  /** Networks are made, and addresses chosen, one after another. */
  readonly #turn = createSerialLock();

  constructor(options: ContainerNetworkOptions) {
    const {network, owner} = options;
    this.#options = options;
    // The kernel takes no longer name for a bridge.
    const own = `bt-${owner.slice(0, 12)}`;
    this.#name = network === 'none' ? null : network === 'own' ? own : network;
  }

  /** What connects the container: it has the address that it had before, as long as the network is the same. */
  async join(
    entry: Entry<IncusRecord>,
  ): Promise<{readonly device: Settings; readonly address: NetworkAddress | null}> {
    const {table} = this.#options;
    const name = this.#name;
    if (name === null) {
      if (entry.record.address !== null) await table.save(entry, {address: null});
      return {device: {type: 'none'}, address: null};
    }
    if (this.#isOwn) await this.#turn(() => this.#ensureOwn(name));
    const address = await this.#turn(() => this.#addressIn(name, entry));
    return {device: deviceOf(name, address), address};
  }

  /** One that nobody else has goes with the last container; throws what the server says. */
  async remove(): Promise<void> {
    const {incus, owner} = this.#options;
    if (this.#name !== null && this.#isOwn) await incus.removeNetwork(this.#name, ownerKey, owner);
  }

  async #ensureOwn(name: string): Promise<void> {
    const {incus, owner} = this.#options;
    await incus.ensureNetwork(name, {[ownerKey]: owner, 'ipv4.address': ownGateway(owner)});
  }

  get #isOwn(): boolean {
    return this.#options.network === 'own';
  }

  async #addressIn(network: string, entry: Entry<IncusRecord>): Promise<NetworkAddress> {
    const {incus, table} = this.#options;
    const {record} = entry;
    const found = await incus.findNetwork(network);
    if (found === null) {
      throw new AppError(
        'PROVIDER_UNAVAILABLE',
        `The Incus server has no network ${network} with IPv4 addresses of its own. Name another one in \`incus.network\` of branchtab.yaml, or own, or none.`,
      );
    }
    const had = record.address;
    if (had?.network === network && found.gateway === `${had.gateway}/${had.prefix_length}`)
      return {address: had.address, prefixLength: had.prefix_length, gateway: had.gateway};
    const others = table.entries().flatMap((each) => each.record.address?.address ?? []);
    const taken = new Set([...found.taken, ...others]);
    const chosen = chooseAddress({...found, taken}, {id: record.id, network});
    const {address, prefixLength: prefix_length, gateway} = chosen;
    await incus.writeFile(record.instance, '/etc/resolv.conf', `nameserver ${gateway}\n`);
    await table.save(entry, {address: {address, prefix_length, gateway, network}});
    return chosen;
  }
}

/** Containers of a network do not reach each other. */
function deviceOf(network: string, {address}: NetworkAddress): Settings {
  return {type: 'nic', name: 'eth0', network, 'ipv4.address': address, 'security.port_isolation': 'true'};
}
