import {registerClusterControllerContract} from '../contract/incus-cluster-controller.ts';
import {startTestCluster} from '../helpers/incus-cluster.ts';

registerClusterControllerContract('a cluster of Incus', await startTestCluster('incus'));
