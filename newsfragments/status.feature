``relay status`` lists the links, offers and circuits of a router, as a table or as JSON.
