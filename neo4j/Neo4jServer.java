// Runs Neo4j Community as one process: java [options] Neo4jServer.java HOME PORT, settings in HOME/conf/neo4j.conf.
//
// It answers Bolt on 127.0.0.1 only, with a password. Once it answers, HOME/neo4j.address holds its address
// (PORT 0 takes a free port); SIGTERM closes the store cleanly.

import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import org.neo4j.configuration.GraphDatabaseSettings;
import org.neo4j.configuration.connectors.BoltConnector;
import org.neo4j.configuration.connectors.ConnectorPortRegister;
import org.neo4j.configuration.connectors.ConnectorType;
import org.neo4j.configuration.helpers.SocketAddress;
import org.neo4j.dbms.api.DatabaseManagementServiceBuilder;
import org.neo4j.kernel.internal.GraphDatabaseAPI;

public class Neo4jServer {
    public static void main(String[] args) throws Exception {
        var home = Path.of(args[0]);
        var address = new SocketAddress("127.0.0.1", Integer.parseInt(args[1]));
        var service = new DatabaseManagementServiceBuilder(home)
            .loadPropertiesFromFile(home.resolve("conf/neo4j.conf"))
            .setConfig(GraphDatabaseSettings.auth_enabled, true)
            .setConfig(BoltConnector.enabled, true)
            .setConfig(BoltConnector.listen_address, address)
            .build();
        Runtime.getRuntime().addShutdownHook(new Thread(service::shutdown));

        var database = (GraphDatabaseAPI) service.database(GraphDatabaseSettings.DEFAULT_DATABASE_NAME);
        var ports = database.getDependencyResolver().resolveDependency(ConnectorPortRegister.class);
        // Written beside and moved, so that a reader never sees half an address.
        var part = home.resolve("neo4j.address.part");
        Files.writeString(part, ports.getLocalAddress(ConnectorType.BOLT).toString());
        Files.move(part, home.resolve("neo4j.address"), StandardCopyOption.ATOMIC_MOVE);

        Thread.currentThread().join();
    }
}
