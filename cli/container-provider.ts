import {createEngineClient} from '../api/engine-client.ts';
import {createIncusClient} from '../api/incus-client.ts';
import {recordedProvider} from '../reconciler/containers/container-record.ts';
import {createDockerProvider} from '../reconciler/containers/docker/docker-provider.ts';
import {createIncusProvider} from '../reconciler/containers/incus/incus-provider.ts';
import {createProcessProvider} from '../reconciler/containers/process/process-provider.ts';
import type {ContainerProvider} from '../reconciler/containers/provider.ts';
import {snapshotKeeper} from '../reconciler/containers/snapshots.ts';
import {systemClock} from '../runtime/platform/clock.ts';
import type {Log} from '../runtime/platform/log.ts';
import {openWebsocket} from '../runtime/platform/websocket-stream.ts';
import type {Config} from '../schemas/config.ts';
import {AppError} from '../schemas/errors.ts';
import {findEngineSocket} from './engine-socket.ts';
import {findIncusServer} from './incus-server.ts';
import {installOwnRuntime} from './own-runtime.ts';
import {readOrCreateOwner} from './repository-owner.ts';
import type {Environment} from './settings.ts';

export interface ProviderContext {
  readonly stateDirectory: string;
  readonly environment: Environment;
  readonly log: Log;
}

/** The provider of the configuration on this state directory. Throws CONFIG_INVALID where it must not be used. */
export async function openProvider(config: Config, context: ProviderContext): Promise<ContainerProvider> {
  // Set in the image of deploy/Containerfile.
  if (config.provider === 'process' && (context.environment.BRANCHTAB_IN_IMAGE ?? '') !== '') {
    throw new AppError(
      'CONFIG_INVALID',
      "In the controller's image the process provider would end all schedules whenever the image is stopped or updated. Write `provider: docker` and mount the engine's socket and the state directory: docs/install.md.",
    );
  }
  const {command, directory} = await installOwnRuntime({stateDirectory: context.stateDirectory});
  const runtime = {runtimeCommand: command, runtimeDirectory: directory};
  if (config.provider === 'docker')
    return createDockerProvider({...(await dockerOptions(config, context)), ...runtime});
  if (config.provider === 'incus')
    return createIncusProvider({...(await incusOptions(config, context)), ...runtime});
  return createProcessProvider({...tableOptions(config, context), ...runtime, level: config.level});
}

/**
 * To stop and remove containers only, whatever the configuration says by now. It installs no runtime and needs no
 * sandbox, so a full disk or a host that lost bubblewrap is no obstacle.
 */
export async function openProviderToStop(
  config: Config,
  context: ProviderContext,
): Promise<ContainerProvider> {
  const {stateDirectory} = context;
  const nothing = {runtimeCommand: [], runtimeDirectory: stateDirectory};
  const maker = (await recordedProvider(stateDirectory)) ?? (await snapshotKeeper(stateDirectory));
  if (maker === 'docker')
    return createDockerProvider({...(await dockerOptions(config, context)), ...nothing});
  if (maker === 'incus') return createIncusProvider({...(await incusOptions(config, context)), ...nothing});
  return createProcessProvider({...tableOptions(config, context), ...nothing, level: 'plain'});
}

async function dockerOptions(config: Config, context: ProviderContext) {
  const {docker} = config;
  const socketPath = await findEngineSocket(docker.host, context.environment);
  return {
    ...tableOptions(config, context),
    engine: createEngineClient({socketPath}),
    owner: await readOrCreateOwner(context.stateDirectory),
    image: docker.image,
    network: docker.network,
  };
}

async function incusOptions(config: Config, context: ProviderContext) {
  const {project, image, pool, profiles, network, target} = config.incus;
  const at = await findIncusServer(config.incus, context.environment, systemClock.now());
  return {
    ...tableOptions(config, context),
    incus: createIncusClient({at, project, openWebsocket, clock: systemClock}),
    owner: await readOrCreateOwner(context.stateDirectory),
    image,
    pool,
    profiles,
    network,
    target,
  };
}

function tableOptions({domain}: Config, {stateDirectory, environment, log}: ProviderContext) {
  const socketRoot = environment.XDG_RUNTIME_DIR;
  return {stateDirectory, domain, clock: systemClock, log, ...(socketRoot ? {socketRoot} : {})};
}
