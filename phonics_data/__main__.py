from phonics_data.cli.app import main

if __name__ == "__main__":
    main()
