import {parseListenAddress} from './platform/listen-address.ts';

export interface VariableSources {
  /** By which programs find the authorities that they are to trust. */
  readonly trusted: Readonly<Record<string, string>>;
  /** Bound by the operator; win over ours except for the addresses and paths. */
  readonly given: Readonly<Record<string, string>>;
  readonly path: string;
  readonly language: string;
  readonly timeZone: string;
  readonly home: string;
  readonly workspace: string;
  readonly container: string | null;
  /** `http://host:port`, or null when the kits listen on a unix socket. */
  readonly kitUrl: string | null;
  /** True where `hoody-cron` and its like resolve to the kits' address. */
  readonly hasKitNames: boolean;
}

/** By this variable every process of a container is found again, whoever its parent is by then. */
const containerMarker = 'BRANCHTAB_CONTAINER';

/** The marker as it stands in the environment of every process of the container. */
export function containerAssignment(container: string): string {
  return `${containerMarker}=${container}`;
}

/** What jobs and scripts find in their environment. Nothing of the runtime's own is in it. */
export function containerVariables(sources: VariableSources): Record<string, string> {
  const {trusted, given, path, language, timeZone, home, workspace, container, kitUrl, hasKitNames} = sources;
  return {
    PATH: path,
    LANG: language,
    TZ: timeZone,
    ...trusted,
    ...given,
    HOME: home,
    HOODY_WORKSPACE: workspace,
    ...(kitUrl === null ? {} : kitUrls(kitUrl, hasKitNames)),
    ...(container === null ? {} : {[containerMarker]: container}),
  };
}

function kitUrls(kitUrl: string, hasKitNames: boolean): Record<string, string> {
  if (!hasKitNames) {
    return {
      HOODY_CRON_URL: kitUrl,
      HOODY_EXEC_URL: kitUrl,
      HOODY_PIPE_URL: `${kitUrl}/api/v1/pipe`,
      HOODY_NOTIFICATIONS_URL: `${kitUrl}/api/v1/notifications`,
    };
  }
  const address = parseListenAddress(kitUrl.replace('http://', ''));
  const port = address.kind === 'unix' || address.port === 80 ? '' : `:${address.port}`;
  return {
    HOODY_CRON_URL: `http://hoody-cron${port}`,
    HOODY_EXEC_URL: `http://hoody-exec${port}`,
    HOODY_PIPE_URL: `http://hoody-pipe${port}`,
    HOODY_NOTIFICATIONS_URL: `http://hoody-notifications${port}`,
  };
}
